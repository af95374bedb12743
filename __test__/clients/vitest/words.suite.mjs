// lodash's case conversions, by hand, and their laws.

import _ from 'lodash';
import { describe, expect, test } from 'vitest';

const TABLE = [
  ['foo bar', 'fooBar', 'foo-bar', 'foo_bar', 'Foo Bar'],
  ['fooBar', 'fooBar', 'foo-bar', 'foo_bar', 'Foo Bar'],
  ['--foo-bar--', 'fooBar', 'foo-bar', 'foo_bar', 'Foo Bar'],
  ['__FOO_BAR__', 'fooBar', 'foo-bar', 'foo_bar', 'FOO BAR'],
  ['EquipmentClass name', 'equipmentClassName', 'equipment-class-name', 'equipment_class_name', 'Equipment Class Name'],
  ['XMLHttpRequest', 'xmlHttpRequest', 'xml-http-request', 'xml_http_request', 'XML Http Request'],
  ['aeiouAreVowels', 'aeiouAreVowels', 'aeiou-are-vowels', 'aeiou_are_vowels', 'Aeiou Are Vowels'],
  ['enable 6h format', 'enable6HFormat', 'enable-6-h-format', 'enable_6_h_format', 'Enable 6 H Format'],
  ['safeHTML', 'safeHtml', 'safe-html', 'safe_html', 'Safe HTML'],
  ['IDs', 'iDs', 'i-ds', 'i_ds', 'I Ds'],
  ['déjà vu', 'dejaVu', 'deja-vu', 'deja_vu', 'Deja Vu'],
  ['Ærøskøbing', 'aeroskobing', 'aeroskobing', 'aeroskobing', 'Aeroskobing'],
  ['', '', '', '', ''],
];

describe.each(TABLE)('%j', (text, camel, kebab, snake, start) => {
  test('in camel case', () => expect(_.camelCase(text)).toBe(camel));
  test('in kebab case', () => expect(_.kebabCase(text)).toBe(kebab));
  test('in snake case', () => expect(_.snakeCase(text)).toBe(snake));
  test('in start case', () => expect(_.startCase(text)).toBe(start));
  test('is kebab case once for all', () => expect(_.kebabCase(_.kebabCase(text))).toBe(_.kebabCase(text)));
});

describe('escape', () => {
  test.each(['<a href="x">', "it's & that", 'plain', '&lt;', '<<>>"\''])('of %s comes back', (text) => {
    expect(_.unescape(_.escape(text))).toBe(text);
    expect(_.escape(text)).not.toMatch(/[<>"']/);
  });
});

describe('truncate', () => {
  test.each([3, 4, 10, 24, 30, 100])('to %i keeps the length', (length) => {
    const text = 'hi-diddly-ho there, neighborino';
    const short = _.truncate(text, { length });
    expect(short.length).toBe(Math.min(length, text.length));
    expect(short.endsWith('...')).toBe(length < text.length);
  });
});

describe('template', () => {
  test.each([
    ['hello <%= user %>!', 'hello <b>!'], ['<%- user %>', '&lt;b&gt;'], ['<% [1,2].forEach(n => { %><%= n %>,<% }) %>', '1,2,'],
    ['${ user }', '<b>'], ['no slots', 'no slots'],
  ])('%s', (source, expected) => {
    expect(_.template(source)({ user: '<b>' })).toBe(expected);
  });
});

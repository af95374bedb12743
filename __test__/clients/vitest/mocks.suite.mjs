// A module mocked for this file only: the next file, in the next fork, has the real one.

import semver from 'semver';
import { describe, expect, test, vi } from 'vitest';
import { latest } from './latest.mjs';

vi.mock('./registry.mjs', () => ({ versions: vi.fn((name) => (name === 'ours' ? ['1.0.0', '1.10.0', '1.9.0'] : [])) }));

describe('latest', () => {
  test('takes the greatest of the mocked versions', async () => {
    expect(await latest('ours')).toBe('1.10.0');
  });

  test('knows nothing of other packages', async () => {
    expect(await latest('theirs')).toBeNull();
  });

  test('follows a spy on semver', async () => {
    const spy = vi.spyOn(semver, 'maxSatisfying').mockReturnValueOnce('9.9.9');
    expect(await latest('ours')).toBe('9.9.9');
    expect(spy).toHaveBeenCalledOnce();
    spy.mockRestore();
  });
});

// `node -r rsipc/register app.js`, or `import 'rsipc/register'`: nothing is exported.

export {};

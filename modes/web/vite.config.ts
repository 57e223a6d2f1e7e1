import { defineConfig } from 'vite'

// Paths are relative, so that the page works behind a prefix. Nothing is
// inlined: the server's content security policy allows only files of its own.
export default defineConfig({
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: { target: 'es2022', modulePreload: false, assetsInlineLimit: 0 },
  server: { proxy: { '/view': process.env.VIEWER ?? 'http://127.0.0.1:4260' } },
})

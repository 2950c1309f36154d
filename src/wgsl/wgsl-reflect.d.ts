// The library's "main" is CommonJS inside a package of type "module", so Node can only load its module file by path. Same types.
declare module 'wgsl_reflect/wgsl_reflect.module.js' {
  export * from 'wgsl_reflect'
}

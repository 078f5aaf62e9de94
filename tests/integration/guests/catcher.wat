;; Catches every exception that a host function throws; a trap it must not catch.
(module
  (import "quiver" "buffer_size" (func $size (param i32) (result i32)))
  (import "quiver" "buffer_create" (func $create (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "handle") (result i32)
    (try (result i32)
      (do (call $create (i32.const -16) (i32.const 100)))
      (catch_all (i32.const 200)))))

;; Answers with the body in capitals, by the host functions alone.
(module
  (import "quiver" "buffer_input" (func $input (result i32)))
  (import "quiver" "buffer_output" (func $output (result i32)))
  (import "quiver" "buffer_read" (func $read (param $buffer i32) (param $offset i32) (param $into i32) (param $capacity i32) (result i32)))
  (import "quiver" "buffer_write" (func $write (param $buffer i32) (param $content i32) (param $length i32) (result i32)))
  (import "quiver" "buffer_set_header"
    (func $header (param $buffer i32) (param $name i32) (param $name_length i32) (param $value i32) (param $value_length i32) (result i32)))

  ;; The first page has the texts, the second a piece of the body.
  (memory (export "memory") 2)
  (data (i32.const 0) "content-type")
  (data (i32.const 16) "text/plain; charset=utf-8")
  (global $piece i32 (i32.const 65536))

  ;; The export that answers requests; what it returns is the status.
  (func (export "handle") (result i32)
    (local $offset i32) (local $count i32)
    (drop (call $header (call $output) (i32.const 0) (i32.const 12) (i32.const 16) (i32.const 25)))
    (loop $next
      ;; How many bytes are left; no more than a piece of them was read.
      (local.set $count (call $read (call $input) (local.get $offset) (global.get $piece) (i32.const 65536)))
      (if (i32.gt_u (local.get $count) (i32.const 65536)) (then (local.set $count (i32.const 65536))))
      (if (local.get $count) (then
        (call $capitals (local.get $count))
        (drop (call $write (call $output) (global.get $piece) (local.get $count)))
        (local.set $offset (i32.add (local.get $offset) (local.get $count)))
        (br $next))))
    (i32.const 200))

  ;; a to z become A to Z in the first $count bytes of the piece.
  (func $capitals (param $count i32)
    (local $at i32) (local $byte i32)
    (local.set $at (global.get $piece))
    (local.set $count (i32.add (global.get $piece) (local.get $count)))
    (loop $next
      (local.set $byte (i32.load8_u (local.get $at)))
      (if (i32.lt_u (i32.sub (local.get $byte) (i32.const 97)) (i32.const 26))
        (then (i32.store8 (local.get $at) (i32.sub (local.get $byte) (i32.const 32)))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (local.get $count))))))

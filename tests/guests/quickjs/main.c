/* QuickJS as a filter: runs the script on standard input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "quickjs.h"

static JSValue print(JSContext *context, JSValueConst self, int count, JSValueConst *values) {
  for (int i = 0; i < count; i++) {
    const char *text = JS_ToCString(context, values[i]);
    if (text == NULL) return JS_EXCEPTION;
    printf("%s%s", i > 0 ? " " : "", text);
    JS_FreeCString(context, text);
  }
  putchar('\n');
  return JS_UNDEFINED;
}

int main(void) {
  static char script[1 << 20];
  size_t length = fread(script, 1, sizeof script - 1, stdin);
  JSContext *context = JS_NewContext(JS_NewRuntime());
  JSValue global = JS_GetGlobalObject(context);
  JS_SetPropertyStr(context, global, "print", JS_NewCFunction(context, print, "print", 1));
  JSValue result = JS_Eval(context, script, length, "stdin", JS_EVAL_TYPE_GLOBAL);
  if (!JS_IsException(result)) return 0;
  fprintf(stderr, "%s\n", JS_ToCString(context, JS_GetException(context)));
  return 1;
}

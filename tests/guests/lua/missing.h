/* What Lua calls and WASI has not: other programs, temporary files. */
#include <stdio.h>
#include <stdlib.h>

#define LUA_TMPNAMBUFSIZE 1
#define lua_tmpnam(into, failed) ((void)(into), (failed) = 1)
#define system(command) ((void)(command), 0)
#define tmpfile() NULL

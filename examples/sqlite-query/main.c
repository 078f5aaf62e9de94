/* A CGI program: runs the SQL in the body on a database in memory, and answers with rows of values between tabs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite3.h"

enum { SQL_MAX = 65536 };

static const char PLANETS[] =
  "create table planets (name text primary key, moons integer, kilometres integer);"
  "insert into planets values ('Mercury', 0, 4879), ('Venus', 0, 12104), ('Earth', 1, 12756), ('Mars', 2, 6792),"
  " ('Jupiter', 95, 142984), ('Saturn', 146, 120536), ('Uranus', 28, 51118), ('Neptune', 16, 49528);";

static void answer(int status, const char *type) {
  printf("Status: %d\nContent-Type: %s; charset=utf-8\n\n", status, type);
}

static int refuse(const char *why) {
  answer(400, "text/plain");
  printf("%s\n", why);
  return 0;
}

static void print_row(sqlite3_stmt *statement, int columns) {
  for (int i = 0; i < columns; i++) {
    const unsigned char *value = sqlite3_column_text(statement, i);
    printf("%s%s", i > 0 ? "\t" : "", value == NULL ? "" : (const char *)value);
  }
  putchar('\n');
}

int main(void) {
  static char sql[SQL_MAX + 1];
  const char *rest = sql;
  sqlite3 *database;
  sqlite3_stmt *statement = NULL;

  if (fread(sql, 1, sizeof sql, stdin) > SQL_MAX) return refuse("more than 64 KiB of SQL");
  if (sqlite3_open(":memory:", &database) != SQLITE_OK) return 1;
  if (sqlite3_exec(database, PLANETS, NULL, NULL, NULL) != SQLITE_OK) return 1;

  /* All statements run; the rows of the last one are the answer, and begin only when nothing can be refused any more. */
  for (;;) {
    if (sqlite3_prepare_v2(database, rest, -1, &statement, &rest) != SQLITE_OK) return refuse(sqlite3_errmsg(database));
    int step = statement == NULL ? SQLITE_DONE : sqlite3_step(statement);
    if (step != SQLITE_ROW && step != SQLITE_DONE) return refuse(sqlite3_errmsg(database));
    if (rest[strspn(rest, " \t\r\n;")] == '\0') {
      answer(200, "text/tab-separated-values");
      int columns = statement == NULL ? 0 : sqlite3_column_count(statement);
      for (; step == SQLITE_ROW; step = sqlite3_step(statement)) print_row(statement, columns);
      return step == SQLITE_DONE ? 0 : 1;
    }
    sqlite3_finalize(statement);
  }
}

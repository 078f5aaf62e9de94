/* Names that the embedder opens, through the C library alone. */
#include "check.h"
#include <errno.h>

int main(void) {
  static const char *names[] = {"api://input", "/api://input", "./api://input", "api:/input", "API:///input"};
  char line[64];
  for (unsigned index = 0; index < sizeof names / sizeof *names; index++) {
    FILE *file = fopen(names[index], "r");
    CHECK(file != NULL);
    CHECK(fgets(line, sizeof line, file) != NULL && strcmp(line, "input") == 0);
    CHECK(fgets(line, sizeof line, file) == NULL && feof(file));
    CHECK(fclose(file) == 0);
  }
  FILE *page = fopen("https://host.example:8443/a//b?c=%20#d", "r");
  CHECK(page != NULL && fgets(line, sizeof line, page) != NULL);
  CHECK(strcmp(line, "https://host.example:8443/a//b?c=%20#d") == 0);
  FILE *output = fopen("api://output", "w");
  CHECK(output != NULL && fputs("answer", output) >= 0 && fclose(output) == 0);
  CHECK(fopen("api://missing", "r") == NULL && errno == ENOENT);
  CHECK(fopen("api://forbidden", "r") == NULL && errno == EACCES);
  CHECK(fopen("plain", "r") == NULL && errno == ENOENT);
  return 0;
}

/* Says for each argument what it reads there, and whether it can write there. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void read_line(const char *path) {
  char line[200] = "";
  FILE *file = fopen(path, "r");
  if (file == NULL || fgets(line, sizeof line, file) == NULL) {
    printf("%s: %s\n", path, strerror(errno));
    return;
  }
  fclose(file);
  line[strcspn(line, "\n")] = 0;
  printf("%s: %s\n", path, line);
}

static void write_line(const char *path) {
  FILE *file = fopen(path, "w");
  if (file == NULL) {
    printf("%s: %s\n", path, strerror(errno));
    return;
  }
  fputs("written\n", file);
  fclose(file);
  printf("%s: written\n", path);
}

int main(int argc, char **argv) {
  for (int at = 1; at < argc; at++) {
    if (argv[at][0] == '+') write_line(argv[at] + 1);
    else read_line(argv[at]);
  }
  return 0;
}

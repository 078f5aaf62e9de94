/* A program that calls another task as if it were linked in, and copies the first line of what it opens. */
#include <stdio.h>

__attribute__((import_module("numbers"), import_name("add"))) int add(int a, int b);

int main(int argc, char **argv) {
  char line[100];
  printf("%d\n", add(2, 40));
  FILE *file = argc < 2 ? NULL : fopen(argv[1], "r");
  if (file == NULL || fgets(line, sizeof line, file) == NULL) return 3;
  puts(line);
  return 0;
}

/* Says what it was given, and fails if it was given anything. */

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    char line[256];
    for (int index = 1; index < argc; index++)
        printf("argument %s\n", argv[index]);
    while (fgets(line, sizeof line, stdin) != NULL)
        printf("line %s", line);
    fprintf(stderr, "done\n");
    return argc > 1 ? 1 : 0;
}

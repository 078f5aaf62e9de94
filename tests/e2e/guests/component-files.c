/* Uses files in /data through libc, and says what each call came to. */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAY(call) printf("%s: %s\n", #call, (call) == 0 ? "ok" : strerror(errno))

static void append(const char *mode, const char *text)
{
    FILE *file = fopen("/data/sub/a", mode);
    if (file == NULL) {
        perror("fopen");
        return;
    }
    fputs(text, file);
    fclose(file);
}

int main(void)
{
    char line[64];
    struct stat status;
    struct dirent *entry;
    int entries = 0;

    SAY(mkdir("/data/sub", 0777));
    append("w", "first\n");
    append("a", "second\n");
    FILE *file = fopen("/data/sub/a", "r");
    fseek(file, 6, SEEK_SET);
    fgets(line, sizeof line, file);
    fclose(file);
    printf("behind the first line: %s", line);
    stat("/data/sub/a", &status);
    printf("size: %lld\n", (long long)status.st_size);
    SAY(rename("/data/sub/a", "/data/sub/b"));
    SAY(symlink("b", "/data/sub/l"));
    SAY(link("/data/sub/b", "/data/sub/c"));
    DIR *folder = opendir("/data/sub");
    while ((entry = readdir(folder)) != NULL)
        entries += entry->d_name[0] != '.';
    closedir(folder);
    printf("entries: %d\n", entries);
    SAY(truncate("/data/sub/b", 3));
    SAY(rmdir("/data/sub"));
    SAY(unlink("/data/sub/l"));
    SAY(unlink("/data/sub/b"));
    SAY(unlink("/data/sub/c"));
    SAY(rmdir("/data/sub"));
    SAY(stat("/data/../etc/passwd", &status));
    return 0;
}

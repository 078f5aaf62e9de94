/* A CGI program: a cow says the parameter `text` of the query. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH_MAX = 40, LINES_MAX = 64, TEXT_MAX = 1024 };

static const char COW[] =
  "        \\   ^__^\n"
  "         \\  (oo)\\_______\n"
  "            (__)\\       )\\/\\\n"
  "                ||----w |\n"
  "                ||     ||\n";

struct line {
  const char *start;
  int bytes, width;
};

/* Bytes of a character after the first do not move the cursor. */
static int width_of(const char *text, int bytes) {
  int width = 0;
  for (int i = 0; i < bytes; i++) width += ((unsigned char)text[i] & 0xC0) != 0x80;
  return width;
}

/* Decodes the value of a parameter into `into`, always ended by NUL. Control characters become spaces. */
static void find_parameter(const char *query, const char *name, char *into, size_t capacity) {
  size_t length = strlen(name), at = 0;
  while (query != NULL && !(strncmp(query, name, length) == 0 && query[length] == '=')) {
    query = strchr(query, '&');
    if (query != NULL) query++;
  }
  for (query = query == NULL ? "" : query + length + 1; *query != '\0' && *query != '&' && at < capacity - 1; query++) {
    char digits[3] = {0};
    int c = *query;
    if (c == '%' && isxdigit(query[1]) && isxdigit(query[2])) {
      memcpy(digits, query + 1, 2);
      c = (int)strtol(digits, NULL, 16);
      query += 2;
    }
    into[at++] = (c == '+' || (c >= 0 && c < ' ')) ? ' ' : (char)c;
  }
  into[at] = '\0';
}

/* Cuts a text into lines at spaces, where there are any. Returns how many. */
static int wrap(const char *text, struct line *lines) {
  int count = 0;
  while (*(text += strspn(text, " ")) != '\0' && count < LINES_MAX) {
    int end = 0, cut = 0;
    while (text[end] != '\0' && width_of(text, end + 1) <= WIDTH_MAX) {
      if (text[++end] == ' ' || text[end] == '\0') cut = end;
    }
    int bytes = cut > 0 ? cut : end;
    lines[count++] = (struct line){text, bytes, width_of(text, bytes)};
    text += bytes;
  }
  return count;
}

static void rule(char character, int width) {
  putchar(' ');
  for (int i = 0; i < width + 2; i++) putchar(character);
  putchar('\n');
}

int main(void) {
  char text[TEXT_MAX];
  struct line lines[LINES_MAX];
  int widest = 0;

  find_parameter(getenv("QUERY_STRING"), "text", text, sizeof text);
  int count = wrap(text[0] == '\0' ? "Moo" : text, lines);
  for (int i = 0; i < count; i++)
    if (lines[i].width > widest) widest = lines[i].width;

  printf("Content-Type: text/plain; charset=utf-8\n\n");
  rule('_', widest);
  for (int i = 0; i < count; i++) {
    char left = count == 1 ? '<' : i == 0 ? '/' : i == count - 1 ? '\\' : '|';
    char right = count == 1 ? '>' : i == 0 ? '\\' : i == count - 1 ? '/' : '|';
    printf("%c %.*s%*s %c\n", left, lines[i].bytes, lines[i].start, widest - lines[i].width, "", right);
  }
  rule('-', widest);
  fputs(COW, stdout);
  return 0;
}

/* A CGI program: a picture in the Netpbm form P6 in the body, and out comes P5 (grey), or P6 with `?negative`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE_MAX = 32768 };

struct picture {
  long width, height, white;
};

static void fail(const char *why) {
  printf("Status: 400\nContent-Type: text/plain\n\n%s\n", why);
  exit(0);
}

/* The next number of the head; comments run from # to the end of their line. Consumes one character behind it. */
static long read_number(void) {
  int c = getchar();
  while (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '#') {
    if (c == '#')
      while ((c = getchar()) != '\n' && c != EOF);
    c = getchar();
  }
  long number = -1;
  for (; c >= '0' && c <= '9' && number <= 65535; c = getchar()) number = (number < 0 ? 0 : number * 10) + c - '0';
  return number;
}

static struct picture read_head(void) {
  if (getchar() != 'P' || getchar() != '6') fail("this is not a picture in the form P6");
  struct picture picture = {.width = read_number(), .height = read_number(), .white = read_number()};
  if (picture.width < 1 || picture.width > SIDE_MAX || picture.height < 1 || picture.height > SIDE_MAX)
    fail("its sides are not between 1 and 32768");
  if (picture.white < 1 || picture.white > 255) fail("it has not one byte for each colour");
  return picture;
}

/* How bright a colour looks: ITU-R BT.601, in thousandths. */
static unsigned char grey(const unsigned char *colour) {
  return (unsigned char)((299 * colour[0] + 587 * colour[1] + 114 * colour[2] + 500) / 1000);
}

int main(void) {
  const char *query = getenv("QUERY_STRING");
  int is_negative = query != NULL && strcmp(query, "negative") == 0;
  struct picture picture = read_head();
  size_t row_bytes = (size_t)picture.width * 3;
  unsigned char *row = malloc(row_bytes);
  if (row == NULL) fail("it is too wide");

  printf("Content-Type: image/x-portable-%s\n\n", is_negative ? "pixmap" : "graymap");
  printf("P%d\n%ld %ld\n%ld\n", is_negative ? 6 : 5, picture.width, picture.height, picture.white);
  for (long y = 0; y < picture.height; y++) {
    if (fread(row, 1, row_bytes, stdin) != row_bytes) {
      fprintf(stderr, "the picture ends in row %ld of %ld\n", y + 1, picture.height);
      return 1;
    }
    for (size_t i = 0; is_negative && i < row_bytes; i++) row[i] = (unsigned char)(picture.white - row[i]);
    for (size_t x = 0; !is_negative && x < (size_t)picture.width; x++) row[x] = grey(row + 3 * x);
    fwrite(row, 1, is_negative ? row_bytes : (size_t)picture.width, stdout);
  }
  return 0;
}

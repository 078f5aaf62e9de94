/* Prints the addresses of a name, as the C library that it is built with finds them. Not part of the product. */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
  int error = argc == 2 ? getaddrinfo(argv[1], "443", &hints, &found) : EAI_NONAME;
  if (error != 0) return printf("%s\n", gai_strerror(error)), 1;
  for (const struct addrinfo *each = found; each != NULL; each = each->ai_next) {
    char address[64];
    getnameinfo(each->ai_addr, each->ai_addrlen, address, sizeof address, NULL, 0, NI_NUMERICHOST);
    puts(address);
  }
  freeaddrinfo(found);
  return 0;
}

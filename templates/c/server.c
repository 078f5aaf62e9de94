/* A small web server, one connection at a time. Quiver starts it with the first request. */

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void stop(int number)
{
	(void)number;
	_exit(0);
}

static void answer(int connection)
{
	static const char response[] =
		"HTTP/1.1 200 OK\r\n"
		"content-type: text/plain; charset=utf-8\r\n"
		"content-length: 18\r\n"
		"connection: close\r\n"
		"\r\n"
		"hello from server\n";
	char request[8192];
	size_t length = 0;

	while (length < sizeof request - 1) {
		ssize_t got = read(connection, request + length, sizeof request - 1 - length);
		if (got <= 0)
			return;
		length += (size_t)got;
		request[length] = '\0';
		if (strstr(request, "\r\n\r\n") != NULL)
			break;
	}
	for (size_t sent = 0; sent < sizeof response - 1;) {
		ssize_t put = write(connection, response + sent, sizeof response - 1 - sent);
		if (put <= 0)
			return;
		sent += (size_t)put;
	}
}

int main(void)
{
	const char *port = getenv("PORT");
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((unsigned short)atoi(port != NULL ? port : "8080")),
		.sin_addr.s_addr = htonl(INADDR_ANY),
	};
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, stop);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
	    listen(listener, 128) < 0) {
		perror("listen");
		return 1;
	}
	for (;;) {
		int connection = accept(listener, NULL, NULL);
		if (connection < 0)
			continue;
		answer(connection);
		close(connection);
	}
}

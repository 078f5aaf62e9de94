/* The stream socket: hands connected TCP sockets to the data plane. */
#ifndef AINIT_STREAMS_H
#define AINIT_STREAMS_H

#define STREAM_CLIENTS_MAX 16
#define CONNECTS_MAX 1024

void streams_open(int listener);

#endif

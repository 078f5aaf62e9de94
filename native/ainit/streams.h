/* The stream socket: hands connected sockets to the data plane. */
#ifndef AINIT_STREAMS_H
#define AINIT_STREAMS_H

#include "dial.h"

#define STREAM_CLIENTS_MAX 16
#define CONNECTS_MAX 1024

void streams_open(int listener, const struct dialer *dialer);

#endif

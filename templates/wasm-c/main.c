/* Answers with the body in capitals. Each request has a fresh instance, so nothing is left of the one before. */

#include <ctype.h>
#include <stdint.h>

#include "quiver.h"

/* The export that answers requests; what it returns is the status. */
QUIVER_EXPORT("handle") int32_t handle(void)
{
	static unsigned char piece[65536];
	quiver_handle_t input = quiver_buffer_input(), output = quiver_buffer_output();
	uint32_t size = (uint32_t)quiver_buffer_size(input);

	quiver_buffer_set_header(output, QUIVER_TEXT("content-type"), QUIVER_TEXT("text/plain; charset=utf-8"));
	for (uint32_t at = 0; at < size; at += sizeof piece) {
		uint32_t count = size - at < sizeof piece ? size - at : sizeof piece;
		quiver_buffer_read(input, at, piece, count);
		for (uint32_t i = 0; i < count; i++)
			piece[i] = (unsigned char)toupper(piece[i]);
		quiver_buffer_write(output, piece, count);
	}
	return 200;
}

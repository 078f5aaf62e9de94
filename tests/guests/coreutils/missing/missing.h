/* What gnulib takes for granted of a C library, and the one for WASI has not. */
#define F_DUPFD 100
#define F_DUPFD_CLOEXEC 101

/* The program that the host lends to sessions, brought into the machine when the first one asks for it. */
#ifndef AINIT_GUEST_LENT_H
#define AINIT_GUEST_LENT_H

/* Begins to fetch it, unless that has begun. */
void lent_fetch(void);

#endif

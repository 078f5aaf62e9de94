/* `ainit tsc`: prints how many thousand times a second the time stamp counter counts, 0 where there is none. */
#ifndef AINIT_TSC_H
#define AINIT_TSC_H

int tsc_main(void);

#endif

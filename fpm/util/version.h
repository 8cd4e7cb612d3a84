/* version.h: the version of the programs, written once. */
#ifndef FPM_VERSION_H
#define FPM_VERSION_H

#define OVERTIME_VERSION "0.1.0"

#endif

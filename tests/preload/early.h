/* early.h: the stages of a program's life in which early_test allocates, in their order. */
#ifndef UNSPLIT_TESTS_EARLY_H
#define UNSPLIT_TESTS_EARLY_H

enum early_stage {
	STAGE_PREINIT,
	STAGE_LIBRARY_CONSTRUCTOR,
	STAGE_CONSTRUCTOR,
	STAGE_STATIC_OBJECT,
	STAGE_MAIN,
	STAGE_ATEXIT,
	STAGE_STATIC_DESTRUCTOR,
	STAGE_DESTRUCTOR,
	STAGE_COUNT
};

/* Allocate, use and free blocks of all kinds, and keep one block for the next stage, which checks
 * and frees it.  Ends the process with status 1 if a block is wrong or a stage is missing. */
extern "C" __attribute__((visibility("default"))) void early_stage_reached(enum early_stage stage);

#endif

/* stacks.c: unwinds the stacks of samples, by libdw. */
#include "cli/stacks.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/space.h"
#include "kernel/say.h"

#if defined(__x86_64__)
#include <asm/perf_regs.h>

/* The kernel's number of each register, in the order of DWARF's numbers. */
static const unsigned char registers[] = {
	PERF_REG_X86_AX,  PERF_REG_X86_DX,  PERF_REG_X86_CX,  PERF_REG_X86_BX,  PERF_REG_X86_SI,
	PERF_REG_X86_DI,  PERF_REG_X86_BP,  PERF_REG_X86_SP,  PERF_REG_X86_R8,  PERF_REG_X86_R9,
	PERF_REG_X86_R10, PERF_REG_X86_R11, PERF_REG_X86_R12, PERF_REG_X86_R13, PERF_REG_X86_R14,
	PERF_REG_X86_R15, PERF_REG_X86_IP,
};
enum { REGISTERS = sizeof(registers), STACK_POINTER = 7 };
#else
static const unsigned char registers[] = {0};
enum { REGISTERS = 0, STACK_POINTER = 0 };
#endif

enum { STACK_BYTES = 8192, FRAMES = 48 };

struct kept {
	uint64_t time;
	struct perf_event_header *record;
};

struct stacks {
	struct kept *kept;
	size_t kept_count, kept_room;
	struct space *spaces;
	struct stack_row *rows;
	size_t row_count, row_room;
};

bool stacks_possible(void)
{
	return REGISTERS > 0;
}

static uint64_t register_mask(void)
{
	uint64_t mask = 0;

	for (int i = 0; i < REGISTERS; i++)
		mask |= 1ull << registers[i];
	return mask;
}

void stacks_ask(struct perf_event_attr *attr)
{
	attr->sample_type |= PERF_SAMPLE_TIME | PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER;
	attr->sample_regs_user = register_mask();
	attr->sample_stack_user = STACK_BYTES;
	attr->sample_id_all = 1;
	attr->mmap = attr->mmap2 = 1;
	attr->comm = attr->comm_exec = 1;
	attr->task = 1;
}

struct stacks *stacks_new(void)
{
	struct stacks *s = calloc(1, sizeof(*s));

	if (!s)
		die("out of memory");
	return s;
}

/* ---- records ---- */

/* A sample with what stacks_ask() asked for; registers and stack stand behind. */
struct stack_sample {
	struct perf_event_header header;
	uint64_t id;
	uint32_t pid, tid;
	uint64_t time;
	uint64_t abi; /* 0: the thread was in no program, and nothing but a size of 0 follows */
	uint64_t words[];
};

struct fork_record {
	struct perf_event_header header;
	uint32_t pid, parent;
};

struct comm_record {
	struct perf_event_header header;
	uint32_t pid, tid;
};

struct map_record {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t address, bytes, offset;
	unsigned char file[24];
	uint32_t protection, flags;
	char path[];
};

/* All but samples end in thread, time and id of the event. */
static uint64_t time_of(const struct perf_event_header *record)
{
	const char *end = (const char *)record + record->size;
	uint64_t time;

	if (record->type == PERF_RECORD_SAMPLE)
		return ((const struct stack_sample *)record)->time;
	memcpy(&time, end - 2 * sizeof(time), sizeof(time));
	return time;
}

/* Room for one more of what lies at `array`. */
static void *make_room(void *array, size_t count, size_t *room, size_t bytes)
{
	if (count < *room)
		return array;
	*room = *room ? 2 * *room : 64;
	array = realloc(array, *room * bytes);
	if (!array)
		die("out of memory");
	return array;
}

void stacks_take(struct stacks *s, const struct perf_event_header *record)
{
	struct kept k;

	if (record->type != PERF_RECORD_SAMPLE && record->type != PERF_RECORD_FORK &&
	    record->type != PERF_RECORD_COMM && record->type != PERF_RECORD_MMAP2)
		return;
	k.record = malloc(record->size);
	if (!k.record)
		die("out of memory");
	memcpy(k.record, record, record->size);
	k.time = time_of(record);
	s->kept = make_room(s->kept, s->kept_count, &s->kept_room, sizeof(*s->kept));
	s->kept[s->kept_count++] = k;
}

/* ---- unwinding ---- */

/* A sample on its way to a row. */
struct unwind {
	Dwfl *session;
	uint32_t tid;
	const uint64_t *registers; /* in the order of the kernel's numbers */
	uint64_t stack;            /* address of what was copied */
	const char *copy;
	uint64_t copied;
	char *frames;
	unsigned count;
};

/* A session takes its callbacks' argument once, for all samples. */
static struct unwind *current;

static uint64_t register_value(const struct unwind *u, unsigned dwarf_number)
{
	unsigned wanted = registers[dwarf_number], place = 0;

	for (int i = 0; i < REGISTERS; i++)
		place += registers[i] < wanted;
	return u->registers[place];
}

static pid_t next_thread(Dwfl *session, void *arg, void **thread)
{
	if (*thread)
		return 0;
	*thread = &current;
	return (pid_t)current->tid;
}

static bool read_memory(Dwfl *session, Dwarf_Addr address, Dwarf_Word *result, void *arg)
{
	uint64_t offset = address - current->stack;

	if (address < current->stack || offset + sizeof(*result) > current->copied)
		return false;
	memcpy(result, current->copy + offset, sizeof(*result));
	return true;
}

static bool set_registers(Dwfl_Thread *thread, void *arg)
{
	Dwarf_Word words[REGISTERS + 1];

	for (unsigned i = 0; i < REGISTERS; i++)
		words[i] = register_value(current, i);
	return dwfl_thread_state_registers(thread, 0, REGISTERS, words);
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.memory_read = read_memory,
	.set_initial_registers = set_registers,
};

/* As a report has it (sites.h): the file, and the address in it. */
static char *name_frame(Dwfl *session, Dwarf_Addr pc)
{
	Dwfl_Module *module = dwfl_addrmodule(session, pc);
	Dwarf_Addr bias = 0;
	const char *path;

	if (!module)
		return text("?+%#lx", (unsigned long)pc);
	path = dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
	dwfl_module_getelf(module, &bias);
	return text("%s+%#lx", path, (unsigned long)(pc - bias));
}

static int take_frame(Dwfl_Frame *frame, void *arg)
{
	struct unwind *u = arg;
	char *name, *longer;
	bool is_interrupted;
	Dwarf_Addr pc;

	if (!dwfl_frame_pc(frame, &pc, &is_interrupted) || u->count == FRAMES)
		return DWARF_CB_ABORT;
	/* Others are return addresses, of which the byte before belongs to the call. */
	name = name_frame(u->session, is_interrupted ? pc + 1 : pc);
	longer = text("%s%s%s", u->frames, u->count++ ? ";" : "", name);
	free(name);
	free(u->frames);
	u->frames = longer;
	return DWARF_CB_OK;
}

static void add_row(struct stacks *s, char *frames)
{
	for (size_t i = 0; i < s->row_count; i++) {
		if (strcmp(s->rows[i].frames, frames) == 0) {
			s->rows[i].count++;
			free(frames);
			return;
		}
	}
	s->rows = make_room(s->rows, s->row_count, &s->row_room, sizeof(*s->rows));
	s->rows[s->row_count++] = (struct stack_row){frames, 1};
}

/* Registers, the size of the stack that was asked for, the stack, and how much of it is real. */
static bool read_sample(struct unwind *u, const struct stack_sample *sample)
{
	const uint64_t *size = sample->words + REGISTERS;

	if (!sample->abi || sample->header.size < sizeof(*sample) + (REGISTERS + 1) * sizeof(*size))
		return false;
	if (*size > STACK_BYTES ||
	    sample->header.size < sizeof(*sample) + (REGISTERS + 2) * sizeof(*size) + *size)
		return false;
	u->registers = sample->words;
	u->copy = (const char *)(size + 1);
	memcpy(&u->copied, u->copy + *size, sizeof(u->copied));
	if (u->copied > *size)
		u->copied = *size;
	u->tid = sample->tid;
	u->stack = register_value(u, STACK_POINTER);
	return true;
}

static void unwind(struct stacks *s, const struct stack_sample *sample)
{
	struct unwind u = {.session = space_session(space_of(&s->spaces, sample->pid)),
	                   .frames = text("%s", "")};

	current = &u;
	if (u.session && read_sample(&u, sample) &&
	    (dwfl_pid(u.session) >= 0 ||
	     dwfl_attach_state(u.session, NULL, (pid_t)sample->pid, &thread_callbacks, NULL)))
		dwfl_getthread_frames(u.session, (pid_t)u.tid, take_frame, &u);
	current = NULL;
	if (!u.count) {
		free(u.frames);
		u.frames = text("?");
	}
	add_row(s, u.frames);
}

/* ---- working off ---- */

static void work(struct stacks *s, const struct perf_event_header *record)
{
	const struct fork_record *fork = (const void *)record;
	const struct map_record *map = (const void *)record;

	if (record->type == PERF_RECORD_SAMPLE)
		unwind(s, (const void *)record);
	else if (record->type == PERF_RECORD_MMAP2)
		space_map(space_of(&s->spaces, map->pid), map->address, map->offset, map->path);
	else if (record->type == PERF_RECORD_FORK && fork->pid != fork->parent)
		space_copy(space_of(&s->spaces, fork->pid), space_of(&s->spaces, fork->parent));
	else if (record->type == PERF_RECORD_COMM && record->misc & PERF_RECORD_MISC_COMM_EXEC)
		space_clear(space_of(&s->spaces, ((const struct comm_record *)record)->pid));
}

static int by_time(const void *x, const void *y)
{
	const struct kept *a = x, *b = y;

	return (a->time > b->time) - (a->time < b->time);
}

void stacks_work(struct stacks *s)
{
	if (s->kept_count)
		qsort(s->kept, s->kept_count, sizeof(*s->kept), by_time);
	for (size_t i = 0; i < s->kept_count; i++) {
		work(s, s->kept[i].record);
		free(s->kept[i].record);
	}
	s->kept_count = 0;
}

static int by_count(const void *x, const void *y)
{
	const struct stack_row *a = x, *b = y;

	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return strcmp(a->frames, b->frames);
}

size_t stacks_rows(struct stacks *s, const struct stack_row **rows)
{
	if (s->row_count)
		qsort(s->rows, s->row_count, sizeof(*s->rows), by_count);
	*rows = s->rows;
	return s->row_count;
}

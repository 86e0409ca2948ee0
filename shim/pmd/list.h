/* list.h: a doubly linked list of units, newest first.  The head is a plain pointer. */
#ifndef UNSPLIT_PMD_LIST_H
#define UNSPLIT_PMD_LIST_H

#include "pmd/unit.h"

static inline void list_push(struct unit **head, struct unit *u)
{
	u->prev = NULL;
	u->next = *head;
	if (*head)
		(*head)->prev = u;
	*head = u;
}

static inline void list_remove(struct unit **head, struct unit *u)
{
	if (u->prev)
		u->prev->next = u->next;
	else
		*head = u->next;
	if (u->next)
		u->next->prev = u->prev;
	u->prev = u->next = NULL;
}

#endif

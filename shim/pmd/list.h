/* list.h: doubly linked lists of units, newest first.  The head is a plain pointer. */
#ifndef UNSPLIT_PMD_LIST_H
#define UNSPLIT_PMD_LIST_H

#include "pmd/unit.h"

static inline void list_push(struct unit **head, struct unit *u, enum unit_list which)
{
	u->prev[which] = NULL;
	u->next[which] = *head;
	if (*head)
		(*head)->prev[which] = u;
	*head = u;
}

static inline void list_remove(struct unit **head, struct unit *u, enum unit_list which)
{
	if (u->prev[which])
		u->prev[which]->next[which] = u->next[which];
	else
		*head = u->next[which];
	if (u->next[which])
		u->next[which]->prev[which] = u->prev[which];
	u->prev[which] = u->next[which] = NULL;
}

#endif

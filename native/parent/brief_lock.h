/*
 * A lock for a few microseconds of work in memory that other processes share. A task may be killed with it: then another
 * takes it over. So what it guards is to be whole after each single write.
 */
#pragma once

/* The tid of the task that has it; 0: none. In memory that is zeros at first. */
struct ramet_brief_lock {
    int holder;
};

void ramet_brief_lock_take(struct ramet_brief_lock *lock);
void ramet_brief_lock_give(struct ramet_brief_lock *lock);

/* Keyrings of the caller */
#include "attempt.h"

#include <linux/keyctl.h>

static long keyctl(long what, long one, long two, long three, long four)
{
    return syscall(SYS_keyctl, what, one, two, three, four);
}

static int read_key(long key)
{
    char text[256];
    long size = key < 0 ? -1 : keyctl(KEYCTL_READ, key, (long)text, sizeof text, 0);
    return size < 0 ? outcome_of(-1) : printed_memory(text, (size_t)size);
}

ESCAPE(key_by_id, SEEN, "all", "reads a key of the caller by its number")
{
    return read_key(number("key"));
}

ESCAPE(key_of_session, SEEN, "all", "finds a key in the session's keyring, and reads it")
{
    return read_key(keyctl(KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, (long)"user", (long)given("key_name"), 0));
}

ESCAPE(key_of_user, SEEN, "all", "finds a key in the user's keyring, and reads it")
{
    return read_key(keyctl(KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, (long)"user", (long)given("user_key_name"), 0));
}

ESCAPE(key_requested, SEEN, "all", "requests a key, for which the kernel looks in all keyrings and asks a program outside")
{
    return read_key(syscall(SYS_request_key, "user", given("key_name"), NULL, 0));
}

ESCAPE(key_changed, SEEN, "all", "changes a key of the caller")
{
    return outcome_of(keyctl(KEYCTL_UPDATE, number("key"), (long)SHOT, (long)strlen(SHOT), 0));
}

ESCAPE(key_revoked, SEEN, "all", "revokes a key of the caller")
{
    return outcome_of(keyctl(KEYCTL_REVOKE, number("key"), 0, 0, 0));
}

ESCAPE(key_added, WORD, "all", "adds a key to the session's keyring, which the caller has too")
{
    return outcome_of(
        syscall(SYS_add_key, "user", "ramet-escaped", SHOT, strlen(SHOT), KEY_SPEC_SESSION_KEYRING));
}

ESCAPE(keyring_joined, WORD, "all", "joins a keyring by its name")
{
    return outcome_of(keyctl(KEYCTL_JOIN_SESSION_KEYRING, (long)"ramet-escape", 0, 0, 0));
}

ESCAPE(keyring_given_to_parent, WORD, "some: its parent has the same user", "gives its parent its own session keyring")
{
    keyctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0);
    return outcome_of(keyctl(KEYCTL_SESSION_TO_PARENT, 0, 0, 0, 0));
}

ESCAPE(keyring_persistent, WORD, "some: CONFIG_PERSISTENT_KEYRINGS", "gets the keyring that outlives the sessions of the user")
{
    return outcome_of(keyctl(KEYCTL_GET_PERSISTENT, -1, KEY_SPEC_PROCESS_KEYRING, 0, 0));
}

ESCAPE(key_described, WORD, "all", "asks for the owner and the rights of a key of the caller")
{
    char text[256];
    return outcome_of(keyctl(KEYCTL_DESCRIBE, number("key"), (long)text, sizeof text, 0));
}

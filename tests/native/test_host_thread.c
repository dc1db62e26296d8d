/* A host thread lends its block and stack to one child after the other and recovers what it left. */
#include "hosts.h"

static int run(void *fn, void *arg, void *context)
{
    char local;
    const struct ramet_host *host = context;
    (void)fn, (void)arg;
    bool on_stack = (uintptr_t)&local < host->stack_top && (uintptr_t)&local > host->stack_top - 65536;
    return on_stack && ramet_thread_pointer() == host->thread_pointer ? FOUND : 1;
}

static int run_and_leave(void *fn, void *arg, void *host)
{
    int code = run(fn, arg, host);
    ramet_host_leave(host);
    return code;
}

static void lends(struct ramet_host *host, int (*of_child)(void *, void *, void *), int code)
{
    int claim = host->over;
    CHECK(claim != 0 && !ramet_host_claim(host)); /* one user at a time */
    CHECK(code_of(start_hosted(host, of_child)) == code);
    await_over(host, claim);
    CHECK(!ramet_host_holds_mutex(host));
}

int main(void)
{
    struct ramet_host *host = start_host(true);
    CHECK(seen.prepared == 1);
    lends(host, run, FOUND);
    CHECK(seen.inspected == 1 && seen.recovered == 1);
    CHECK(ramet_host_claim(host));
    lends(host, run_and_leave, FOUND);
    CHECK(seen.recovered == 1); /* there is nothing to recover */
    CHECK(ramet_host_claim(host));
    ramet_host_dismiss(host);
    ramet_host_wait_end(host);
    CHECK(seen.discarded == 1 && !ramet_host_claim(host));
    ramet_host_release(host);
    return passed();
}

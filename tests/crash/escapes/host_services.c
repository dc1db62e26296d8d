/* Services of the host, and what the environment tells of them */
#include "attempt.h"

#include <sys/socket.h>
#include <sys/un.h>

static int connected(const char *path, bool abstract)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    snprintf(place.sun_path + abstract, sizeof place.sun_path - 1, "%s", path);
    socklen_t size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + (abstract ? 1 : 1));
    int made = socket(AF_UNIX, SOCK_STREAM, 0);
    return made < 0 ? -1 : connect(made, (struct sockaddr *)&place, size);
}

static int by_variable(const char *name, const char *place)
{
    const char *told = getenv(name);
    const char *path = told != NULL && strchr(told, '/') != NULL ? strchr(told, '/') : below("services", place);
    return outcome_of(connected(path, false));
}

ESCAPE(ssh_agent, SEEN, "all", "connects to the caller's ssh-agent")
{
    return by_variable("SSH_AUTH_SOCK", "ssh-agent");
}

ESCAPE(session_bus, SEEN, "all", "connects to the caller's D-Bus")
{
    return by_variable("DBUS_SESSION_BUS_ADDRESS", "bus");
}

ESCAPE(docker, SEEN, "all", "connects to the caller's container engine")
{
    return by_variable("DOCKER_HOST", "docker");
}

ESCAPE(wayland, SEEN, "all", "connects to the caller's screen by its runtime directory")
{
    const char *told = getenv("XDG_RUNTIME_DIR");
    char path[256];
    snprintf(path, sizeof path, "%s/wayland-0", told != NULL ? told : given("services"));
    return outcome_of(connected(path, false));
}

ESCAPE(x_server, SEEN, "all", "connects to the caller's X server by its path in /tmp")
{
    return outcome_of(connected(given("x"), false));
}

ESCAPE(x_server_abstract, SEEN, "all", "connects to the caller's X server by its abstract name")
{
    return outcome_of(connected(given("x"), true));
}

ESCAPE(system_service, WORD, "some: the machine has one", "connects to a service of the system: D-Bus, systemd, docker, udev, the journal")
{
    const char *const paths[] = {"/run/dbus/system_bus_socket", "/run/docker.sock", "/var/run/docker.sock",
                                 "/run/containerd/containerd.sock", "/run/podman/podman.sock",
                                 "/run/systemd/private", "/run/systemd/notify", "/run/udev/control",
                                 "/run/systemd/journal/stdout", "/dev/log", "/run/snapd.socket",
                                 "/run/lxd.socket", "/var/run/nscd/socket", "/run/libvirt/libvirt-sock", NULL};
    for (int i = 0; paths[i] != NULL; i++)
        if (connected(paths[i], false) == 0) {
            printf("%s\n", paths[i]);
            return THROUGH;
        }
    return outcome_of(-1);
}

extern char **environ;

ESCAPE(secret_in_environment, SEEN, "all", "reads a secret in the environment that the caller has")
{
    for (char **one = environ; *one != NULL; one++)
        printf("%s\n", *one);
    return THROUGH;
}

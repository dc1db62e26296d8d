"""What other programs' options are called here, for who types them by habit.

Of bubblewrap, sandlock, nsjail, firejail and the container engines; docs/how_to/migrate/sandboxes.md has
the first three side by side.
"""

_READ = "--read PATH shows a path, in its own place"
_WRITE = "--write PATH shows a path that may be written, in its own place"
_ALWAYS = "that is always so"
_NETWORK = "--network none (the default), loopback or host"
_SYSCALLS = "--syscalls default, strict, FILE or none"
_MEMORY = "--memory SIZE, such as 512M, for all its processes"
_PROCESSES = "--processes N, threads counted"
_TIMEOUT = "--timeout TIME, such as 30 or 2m"
_ENV = "--env NAME=VALUE, beside the usual variables"
_ROOT = "--root / shows all files of this machine, --root DIR the system in a directory, to read"
_OVERLAY = "--overlay keeps what is written below --write in a layer, which is thrown away"
_IDS = "as root, the program has an id that nobody has, otherwise yours; none can be chosen"
_DEVICES = "it has null, zero, full, random, urandom and tty, and no other device"
_PLACES = (
    "each path is shown in its own place; what is to be elsewhere can lie in a directory for --root"
)

_NAMES = {
    _READ: "-r -R --ro-bind --ro-bind-try --bindmount_ro --ro --read-only --fs-read --whitelist",
    _WRITE: "-w -B --bind-try --bindmount --rw --fs-write -v --volume --mount",
    _ALWAYS: "--unshare-all --unshare-user --unshare-user-try --unshare-ipc --unshare-pid --unshare-uts "
    "--unshare-cgroup --unshare-cgroup-try --new-session --die-with-parent --as-pid-1 --cap-drop --rm "
    "--no-new-privs --nonewprivs --init",
    _NETWORK: "--net --share-net --unshare-net --disable_clone_newnet -N --no-net",
    _SYSCALLS: "--seccomp --add-seccomp-fd --seccomp_policy --security-opt",
    _MEMORY: "-m --mem --mem-limit --cgroup_mem_max --rlimit_as --rlimit-as --max-memory",
    _PROCESSES: "-P --pids --cgroup_pids_max --pids-limit --max-processes --rlimit-nproc --rlimit_nproc",
    _TIMEOUT: "-t --time_limit --time-limit",
    _ENV: "-E -e --setenv --clearenv --unsetenv",
    _ROOT: "--chroot",
    _OVERLAY: "--overlay-src --tmp-overlay --ro-overlay --workdir",
    _IDS: "-u --uid -g --gid --user --group",
    _PLACES: "--file --bind-data --ro-bind-data --symlink --dir",
    "what runs in it has no capability": "--cap-add --caps --privileged",
    "--cwd DIR": "--chdir",
    "--tmp SIZE; a /tmp of its own is the default": "-T --tmpfs --size --private-tmp",
    _DEVICES: "--dev --dev-bind --dev-bind-try --device --devices --gpus",
    "--no-proc leaves it out; its own processes are shown by default": "--proc --disable_proc",
    "--hide PATH covers a path below one that is shown": "--blacklist --fs-deny",
    "--connect PORTS, such as 443": "--net-allow",
    "--bind PORTS, such as 8080": "--net-bind -p --publish",
    "--cpus N, such as 0.5": "-c --cgroup_cpu_ms_per_sec",
    "--open-files N": "--rlimit_nofile --rlimit-nofile --ulimit",
    "--file-size SIZE": "--rlimit_fsize --rlimit-fsize",
    "--hostname NAME": "-H",
    "--cpu-time TIME": "--cpu-seconds --rlimit_cpu --rlimit-cpu",
}

NAMES_HERE = {name: here for here, names in _NAMES.items() for name in names.split()}

/* Devices */
#include "attempt.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static int node(mode_t kind, unsigned major_number, unsigned minor_number)
{
    const char *path = below("work", "device");
    unlink(path);
    if (mknod(path, kind | 0666, makedev(major_number, minor_number)) < 0)
        return outcome_of(-1);
    int device = open(path, O_RDONLY | O_NONBLOCK);
    int error = errno;
    unlink(path);
    errno = error;
    return outcome_of(device);
}

ESCAPE(device_made_kmsg, WORD, "root", "makes a device of the kernel's messages in its own directory")
{
    return node(S_IFCHR, 1, 11);
}

ESCAPE(device_made_memory, WORD, "some: root, and CONFIG_DEVMEM", "makes a device of the machine's memory in its own directory")
{
    return node(S_IFCHR, 1, 1);
}

ESCAPE(device_made_terminal, WORD, "root", "makes a device of a console in its own directory")
{
    return node(S_IFCHR, 4, 0);
}

ESCAPE(device_made_disk, WORD, "some: root, and a disk that is loop 0", "makes a device of a disk in its own directory")
{
    return node(S_IFBLK, 7, 0);
}

ESCAPE(device_of_memory, WORD, "some: root, and CONFIG_DEVMEM", "opens the machine's memory")
{
    return outcome_of(open("/dev/mem", O_RDONLY));
}

ESCAPE(device_of_ports, WORD, "some: root, and CONFIG_DEVPORT", "opens the machine's ports")
{
    return outcome_of(open("/dev/port", O_RDONLY));
}

ESCAPE(device_of_messages, WORD, "some: root, or dmesg_restrict is 0", "opens the kernel's messages")
{
    return outcome_of(open("/dev/kmsg", O_RDONLY | O_NONBLOCK));
}

ESCAPE(device_of_messages_written, WORD, "root", "opens the kernel's messages to write")
{
    return outcome_of(open("/dev/kmsg", O_WRONLY | O_NONBLOCK));
}

ESCAPE(device_of_disk, WORD, "some: root, and a disk", "opens any disk of the machine")
{
    DIR *listing = opendir("/dev");
    struct stat found;
    for (struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;)
        if (fstatat(dirfd(listing), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISBLK(found.st_mode) &&
            openat(dirfd(listing), entry->d_name, O_RDONLY | O_NONBLOCK) >= 0)
            return THROUGH;
    return outcome_of(-1);
}

static int any(const char *const *paths, int flags)
{
    for (; *paths != NULL; paths++)
        if (open(*paths, flags | O_NONBLOCK | O_CLOEXEC) >= 0) {
            printf("%s\n", *paths);
            return THROUGH;
        }
    return outcome_of(-1);
}

ESCAPE(device_of_loops, WORD, "some: root, and CONFIG_BLK_DEV_LOOP", "opens the control of loop devices")
{
    return any((const char *const[]){"/dev/loop-control", NULL}, O_RDWR);
}

ESCAPE(device_of_fuse, WORD, "some: root, and CONFIG_FUSE_FS", "opens the device of file systems in user space")
{
    return any((const char *const[]){"/dev/fuse", NULL}, O_RDWR);
}

ESCAPE(device_of_machines, WORD, "some: root, and a virtual machine monitor", "opens the device of virtual machines")
{
    return any((const char *const[]){"/dev/kvm", "/dev/vhost-net", "/dev/vhost-vsock", NULL}, O_RDWR);
}

ESCAPE(device_of_input, WORD, "some: root, and input", "opens the devices of keyboards, screens and sound")
{
    return any((const char *const[]){"/dev/uinput", "/dev/input/event0", "/dev/fb0", "/dev/dri/card0",
                                     "/dev/dri/renderD128", "/dev/snd/seq", "/dev/snd/timer", NULL},
               O_RDWR);
}

ESCAPE(device_of_power, WORD, "some: root, and one of them", "opens the devices that keep awake, time or map the machine")
{
    return any((const char *const[]){"/dev/cpu_dma_latency", "/dev/nvram",
                                     "/dev/rtc0", "/dev/hpet", "/dev/mapper/control", "/dev/btrfs-control",
                                     "/dev/autofs", "/dev/vfio/vfio", "/dev/udmabuf", NULL},
               O_RDWR);
}

ESCAPE(device_of_processor, WORD, "some: root, and CONFIG_X86_MSR", "opens the registers of a processor")
{
    return any((const char *const[]){"/dev/cpu/0/msr", "/dev/cpu/0/cpuid", NULL}, O_RDONLY);
}

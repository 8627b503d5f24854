// libsystemd: what roostd says to the service manager above it.
#include <systemd/sd-daemon.h>

/* Which of ainit's commands was asked for. */
#include <stdio.h>
#include <string.h>

#include "bridge.h"
#include "guest.h"
#include "guest_core.h"
#include "init.h"
#include "launch.h"
#include "protocol.h"
#include "supervise.h"
#include "vm.h"

int main(int argc, char **argv) {
  const char *command = argc < 2 ? "" : argv[1];
  if (strcmp(argv[0], "/init") == 0) /* by the kernel, which may add what it does not know itself */
    return strcmp(command, "core") == 0 ? core_main(argc, argv) : guest_main();
  if (strcmp(command, "launch") == 0 && argc == 2) return launch_main();
  if (strcmp(command, "init") == 0 && argc == 2) return init_main();
  if (strcmp(command, "vm") == 0 && argc == 2) return vm_main();
  if (strcmp(command, "guest") == 0 && argc == 2) return guest_main();
  if (strcmp(command, "supervise") == 0) return supervise_main(argc - 1, argv + 1);
  if (strcmp(command, "bridge") == 0) return bridge_main(argc - 1, argv + 1);
  if (strcmp(command, "version") == 0 && argc == 2) return printf("%d\n", PROTOCOL_VERSION) > 0 ? 0 : 1;
  fputs("usage: ainit launch | ainit supervise FILE | ainit bridge … | ainit version\n", stderr);
  return 64;
}

// Takes 35 to 60 ms out of a coordinator's start.
//
// libraft probes a directory for asynchronous I/O with io_setup, one write and io_destroy, and io_destroy waits for an
// RCU grace period of the kernel. Nothing hangs on its outcome: the context is idle and the answer is not looked at. So
// libraft's calls of syscall(2) are led through a function that gives io_destroy to a thread of its own. Done by
// rewriting that one entry of libraft's relocation table; where the table is not as expected nothing is changed, and
// the start is only slower. (The static libraft.a, where the function could simply be defined, is not
// position-independent.)
#define _GNU_SOURCE
#include "hasten.h"

#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *destroy(void *context) {
  syscall(SYS_io_destroy, context);
  return NULL;
}

static long lead(long number, ...) {
  va_list list;
  va_start(list, number);
  long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long);
  long d = va_arg(list, long), e = va_arg(list, long), f = va_arg(list, long);
  va_end(list);
  pthread_t thread;
  if (number == SYS_io_destroy && pthread_create(&thread, NULL, destroy, (void *)a) == 0) {
    pthread_detach(thread);
    return 0;
  }
  return syscall(number, a, b, c, d, e, f);
}

struct tables {
  const ElfW(Rela) *relocations[2]; // DT_JMPREL and DT_RELA
  size_t sizes[2];
  const ElfW(Sym) *symbols;
  const char *strings;
};

static struct tables read_dynamic(const ElfW(Dyn) *dynamic) {
  struct tables t = {0};
  for (; dynamic->d_tag != DT_NULL; dynamic++) {
    switch (dynamic->d_tag) {
    case DT_JMPREL: t.relocations[0] = (const void *)dynamic->d_un.d_ptr; break;
    case DT_PLTRELSZ: t.sizes[0] = dynamic->d_un.d_val; break;
    case DT_RELA: t.relocations[1] = (const void *)dynamic->d_un.d_ptr; break;
    case DT_RELASZ: t.sizes[1] = dynamic->d_un.d_val; break;
    case DT_SYMTAB: t.symbols = (const void *)dynamic->d_un.d_ptr; break;
    case DT_STRTAB: t.strings = (const char *)dynamic->d_un.d_ptr; break;
    default: break;
    }
  }
  return t;
}

// `sealed`: the dynamic loader has made the table's pages read-only (PT_GNU_RELRO), and so they are left.
static void rewrite(void **slot, bool sealed) {
  if (*slot != (void *)syscall) return; // not bound yet, or not what is expected
  uintptr_t page = (uintptr_t)slot & ~(uintptr_t)(sysconf(_SC_PAGESIZE) - 1);
  size_t length = (uintptr_t)(slot + 1) - page;
  if (sealed && mprotect((void *)page, length, PROT_READ | PROT_WRITE) != 0) return;
  *slot = (void *)lead;
  if (sealed) mprotect((void *)page, length, PROT_READ);
}

static bool is_sealed(const struct dl_phdr_info *info, uintptr_t address) {
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    uintptr_t start = info->dlpi_addr + p->p_vaddr;
    if (p->p_type == PT_GNU_RELRO && address >= start && address < start + p->p_memsz) return true;
  }
  return false;
}

static int visit(struct dl_phdr_info *info, size_t size, void *context) {
  (void)size, (void)context;
  const char *slash = strrchr(info->dlpi_name, '/');
  const char *name = slash ? slash + 1 : info->dlpi_name;
  if (strncmp(name, "libraft.so", 10) != 0) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    if (info->dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
    struct tables t = read_dynamic((const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr));
    if (t.symbols == NULL || t.strings == NULL) return 1;
    for (int k = 0; k < 2; k++) {
      for (size_t n = 0; t.relocations[k] && n < t.sizes[k] / sizeof(ElfW(Rela)); n++) {
        const ElfW(Rela) *r = &t.relocations[k][n];
        const char *symbol = t.strings + t.symbols[ELF64_R_SYM(r->r_info)].st_name;
        uintptr_t slot = info->dlpi_addr + r->r_offset;
        if (strcmp(symbol, "syscall") == 0) rewrite((void **)slot, is_sealed(info, slot));
      }
    }
  }
  return 1;
}

static void look(void) {
#if defined(__x86_64__) || defined(__aarch64__)
  dl_iterate_phdr(visit, NULL);
#endif
}

void roost_raft_hasten(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, look);
}

// SPDX-License-Identifier: Apache-2.0
// Lets a program that is built with glibc 2.36 start on a host that has 2.34 (Amazon Linux 2023, RHEL 9).
//
// The unwinder of libgcc, which is linked statically, finds the unwind tables of an address with _dl_find_object, which
// glibc has since 2.35 and no older one. This is the same function by older means. It is linked into the program and
// each module as an object of its own, so that the linker meets it before glibc's.
#include <dlfcn.h>
#include <link.h>

#include <cstdint>

namespace {

struct Search {
  std::uintptr_t address;
  dl_find_object* found;
};

/// For dl_iterate_phdr(3): 1 when this object holds the address and has unwind tables, which ends the search.
int look_into(dl_phdr_info* object, std::size_t /*size*/, void* data) {
  const Search& search = *static_cast<Search*>(data);
  std::uintptr_t start = 0;
  std::uintptr_t end = 0;
  std::uintptr_t tables = 0;
  bool holds_it = false;
  for (int index = 0; index < object->dlpi_phnum; ++index) {
    const auto& segment = object->dlpi_phdr[index];
    const std::uintptr_t at = object->dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_GNU_EH_FRAME) tables = at;
    if (segment.p_type != PT_LOAD) continue;
    if (start == 0 || at < start) start = at;
    if (at + segment.p_memsz > end) end = at + segment.p_memsz;
    if (search.address >= at && search.address - at < segment.p_memsz) holds_it = true;
  }
  if (!holds_it || tables == 0) return 0;
  // NOLINTBEGIN(performance-no-int-to-ptr): these are addresses.
  *search.found = {};
  search.found->dlfo_map_start = reinterpret_cast<void*>(start);
  search.found->dlfo_map_end = reinterpret_cast<void*>(end);
  search.found->dlfo_eh_frame = reinterpret_cast<void*>(tables);
  // NOLINTEND(performance-no-int-to-ptr)
  return 1;
}

}  // namespace

// NOLINTNEXTLINE(bugprone-reserved-identifier): glibc's name, see dlfcn.h; -1 means that no object has the address.
extern "C" int _dl_find_object(void* address, dl_find_object* result) noexcept {
  Search search{reinterpret_cast<std::uintptr_t>(address), result};
  return dl_iterate_phdr(look_into, &search) == 1 ? 0 : -1;
}

// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <string>

#include "worker.h"

namespace emu {
namespace {

struct Log {
  std::mutex mutex;
  std::string kept;  // one finding a line
  int kept_count = 0, left_out = 0;
  std::set<std::string> known;  // keys of what was found since the last take_reports()
};

// Never destroyed: the leak report and a worker may come after the destructors of this library's objects.
Log& log() {
  static Log* instance = new Log();
  return *instance;
}

const char* base_name(const char* path) {
  const char* slash = std::strrchr(path, '/');
  return slash ? slash + 1 : path;
}

// "file:line" of a code address, by binutils where there are any, else symbol or module offset.
std::string place_of(const void* pc) {
  Dl_info info;
  if (!dladdr(pc, &info) || !info.dli_fname) return "unknown code";
  const size_t offset = static_cast<const char*>(pc) - static_cast<const char*>(info.dli_fbase);
  std::string path = info.dli_fname;
  // A module lives in a memory file of this process; the child needs a name that is valid there too.
  if (path.rfind("/proc/self/", 0) == 0) path = "/proc/" + std::to_string(getpid()) + path.substr(10);
  char command[600];
  std::snprintf(command, sizeof command, "addr2line -s -e '%s' %#zx 2>/dev/null", path.c_str(), offset - 1);
  char text[256] = "";
  if (FILE* pipe = popen(command, "r")) {
    if (!std::fgets(text, sizeof text, pipe)) text[0] = 0;
    pclose(pipe);
  }
  text[std::strcspn(text, " \n")] = 0;
  if (text[0] && text[0] != '?') return text;
  std::snprintf(text, sizeof text, "%s+%#zx", info.dli_sname ? info.dli_sname : "module", offset);
  return text;
}

// "kernel k block (x,y,z) thread (x,y,z)", as far as they are known
std::string who() {
  if (!worker || !worker->job) return "";
  char text[300];
  int n = std::snprintf(text, sizeof text, "kernel %s block (%u,%u,%u)", worker->job->kernel->name, view.block.x,
                        view.block.y, view.block.z);
  if (self) std::snprintf(text + n, sizeof text - n, " thread (%u,%u,%u)", self->thread.x, self->thread.y, self->thread.z);
  return text;
}

void keep(const std::string& line) {
  Log& l = log();
  if (l.kept_count >= options().kept_reports) {
    l.left_out++;
    return;
  }
  l.kept_count++;
  l.kept += line + "\n";
  if (options().print_reports) std::fprintf(stderr, "emulated device: %s\n", line.c_str());
}

// One finding is kept for each kernel, place and kind (format): a bug in a loop appears in every thread and iteration.
bool is_new(Site site, const void* pc, const char* format) {
  char key[400];
  std::snprintf(key, sizeof key, "%s:%p:%s:%u:%u:%.100s", worker && worker->job ? worker->job->kernel->name : "", pc,
                base_name(site.file), site.line, site.column, format);
  return log().known.insert(key).second;
}

}  // namespace

bool same_place(Site a, Site b) {
  return a.line == b.line && a.column == b.column &&
         (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

void finding_list(Site site, const void* pc, const char* format, va_list list) {
  char message[500];
  std::vsnprintf(message, sizeof message, format, list);
  if (worker && worker->job) worker->job->findings++;
  std::lock_guard<std::mutex> lock(log().mutex);
  if (!is_new(site, pc, format)) return;
  std::string line = who();
  if (pc) line += " at " + place_of(pc);
  else if (site.line) line += std::string(" at ") + base_name(site.file) + ":" + std::to_string(site.line);
  keep(line.empty() ? message : line + ": " + message);
}

void finding(Site site, const char* format, ...) {
  va_list list;
  va_start(list, format);
  finding_list(site, nullptr, format, list);
  va_end(list);
}

void finding_at(const void* pc, const char* format, ...) {
  va_list list;
  va_start(list, format);
  finding_list(Site(), pc, format, list);
  va_end(list);
}

void give_up(Site site, const char* format, ...) {
  va_list list;
  va_start(list, format);
  finding_list(site, nullptr, format, list);
  va_end(list);
  abandon_block(*worker);
}

void trap(const char* why, Site site) { give_up(site, "%s", why); }

std::string take_reports() {
  Log& l = log();
  std::lock_guard<std::mutex> lock(l.mutex);
  std::string text = std::move(l.kept);
  if (l.left_out) text += "and " + std::to_string(l.left_out) + " more\n";
  l.kept.clear();
  l.known.clear();
  l.kept_count = l.left_out = 0;
  return text;
}

void add_report(const std::string& text) {
  std::lock_guard<std::mutex> lock(log().mutex);
  keep(text);
}

}  // namespace emu

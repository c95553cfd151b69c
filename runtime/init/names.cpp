// The three files that tell a box who it is and whom to ask. The box may change them too, and what it has written
// stays: its address may be another one at each start, so one line of /etc/hosts is ours, by its mark.

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/init/box_file.h"
#include "runtime/init/init.h"

namespace hutch::runtime::init {
namespace {

constexpr char kMark[] = "# this box: hutch keeps this line";
constexpr char kLoopback[] = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
constexpr char kAsked[] = "# The host's answers; what is changed here stays.\n";

constexpr size_t kLongestNames = 1 << 20;  // a file beyond it is left alone
char g_old[kLongestNames + 1];             // zero pages until touched
char g_new[kLongestNames + 512];

enum class Found { kNothing, kText, kOther };

// kNothing for a link too: it would choose where we read. kOther: longer, or what cannot be read.
Found read_etc(const char* path) {
    const ssize_t size = read_box_file(path, g_old, kLongestNames);
    if (size < 0) return errno == ENOENT || errno == ELOOP ? Found::kNothing : Found::kOther;
    if (size == static_cast<ssize_t>(kLongestNames)) return Found::kOther;
    g_old[size] = '\0';
    return Found::kText;
}

// A new file replaces whatever is there: a link would otherwise choose where we write.
bool write_etc(const char* path, const char* text) {
    if (unlink(path) != 0 && errno != ENOENT) return false;
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) return false;
    const auto size = static_cast<ssize_t>(strlen(text));
    const bool done = write(fd, text, static_cast<size_t>(size)) == size && fchmod(fd, 0644) == 0;
    close(fd);
    return done;
}

// Unchanged since the last start of this box: nothing to copy up.
bool write_if_new(const char* path, Found found, const char* text) {
    return (found == Found::kText && strcmp(g_old, text) == 0) || write_etc(path, text);
}

bool ends_with(const char* begin, const char* end, const char* with) {
    const size_t size = strlen(with);
    return static_cast<size_t>(end - begin) >= size && memcmp(end - size, with, size) == 0;
}

// "ADDRESS NAME" and no more, which starts wrote before they marked it.
bool is_unmarked(const char* begin, const char* end, const char* name) {
    const auto* gap = static_cast<const char*>(memchr(begin, ' ', static_cast<size_t>(end - begin)));
    return gap != nullptr && static_cast<size_t>(end - gap - 1) == strlen(name) &&
           memcmp(gap + 1, name, strlen(name)) == 0;
}

// The text that is there, with our line in its old place or before all else. Answers whether it had our mark: then this
// root was started before, and what it says is the box's word.
bool renew_hosts(const char* line, const char* name) {
    const bool marked = strstr(g_old, kMark) != nullptr;
    char* to = g_new;
    const auto add = [&to](const char* text, size_t size) { to = static_cast<char*>(mempcpy(to, text, size)); };
    if (strstr(g_old, "localhost") == nullptr) add(kLoopback, strlen(kLoopback));
    if (!marked) add(line, strlen(line));
    bool placed = !marked;
    for (const char* at = g_old; *at != '\0';) {
        const char* end = strchrnul(at, '\n');
        const char* next = *end == '\n' ? end + 1 : end;
        if (ends_with(at, end, kMark)) {
            if (!placed) add(line, strlen(line));
            placed = true;
        } else if (marked || !is_unmarked(at, end, name)) {
            add(at, static_cast<size_t>(next - at));
        }
        at = next;
    }
    *to = '\0';
    return marked;
}

// What an earlier start wrote, perhaps for another name server, and nobody has changed.
bool is_our_resolv_conf() {
    constexpr char kServer[] = "nameserver ";
    if (strncmp(g_old, kAsked, strlen(kAsked)) != 0) return false;
    const char* server = g_old + strlen(kAsked);
    if (strncmp(server, kServer, strlen(kServer)) != 0) return false;
    server += strlen(kServer);
    return strcmp(server + strspn(server, "0123456789."), "\n") == 0;
}

}  // namespace

bool write_names(const Setup& setup, const char* hostname, const char*& object) {
    char text[256];
    object = "/etc";
    if (mkdir("/etc", 0755) != 0 && errno != EEXIST) return false;

    object = "/etc/hosts";
    snprintf(text, sizeof(text), "%s %s %s\n", setup.address, hostname, kMark);
    Found found = read_etc("/etc/hosts");
    if (found == Found::kNothing) g_old[0] = '\0';
    bool changed_by_box = found == Found::kOther;
    if (found != Found::kOther) {
        changed_by_box = renew_hosts(text, hostname);
        if (!write_if_new("/etc/hosts", found, g_new)) return false;
    }

    object = "/etc/hostname";
    snprintf(text, sizeof(text), "%s\n", hostname);
    if (!write_if_new("/etc/hostname", read_etc("/etc/hostname"), text)) return false;

    object = "/etc/resolv.conf";
    snprintf(text, sizeof(text), "%snameserver %s\n", kAsked, setup.nameserver);
    struct stat there {};
    if (changed_by_box && lstat("/etc/resolv.conf", &there) == 0) {
        found = read_etc("/etc/resolv.conf");
        if (found != Found::kText || !is_our_resolv_conf()) return true;
        return write_if_new("/etc/resolv.conf", found, text);
    }
    return write_if_new("/etc/resolv.conf", read_etc("/etc/resolv.conf"), text);
}

}  // namespace hutch::runtime::init

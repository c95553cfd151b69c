// What a command finds in its environment beside what it is sent: /etc/environment, as a login reads it (pam_env(8)),
// and a terminal's name that the box knows.

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <initializer_list>

#include "runtime/init/box_file.h"
#include "runtime/init/init.h"

namespace hutch::runtime::init {
namespace {

constexpr char kFile[] = "/etc/environment";
constexpr size_t kLongestEnvironment = 16 * 1024;  // a longer file is none
char g_text[kLongestEnvironment + 1];
char g_path[kLongestEnvironment + 512];

bool read_text() {
    const ssize_t size = read_box_file(kFile, g_text, sizeof(g_text));
    if (size <= 0 || size > static_cast<ssize_t>(kLongestEnvironment)) return false;
    g_text[size] = '\0';
    return strlen(g_text) == static_cast<size_t>(size);
}

// Makes "NAME=value" of a line, in its place; null for what is none.
char* variable_of(char* line) {
    line += strspn(line, " \t");
    if (strncmp(line, "export ", 7) == 0) line += 7 + strspn(line + 7, " \t");
    char* value = strchr(line, '=');
    if (value == nullptr || value == line || isdigit(static_cast<unsigned char>(*line)) != 0) return nullptr;
    for (const char* at = line; at < value; ++at) {
        if (isalnum(static_cast<unsigned char>(*at)) == 0 && *at != '_') return nullptr;
    }
    ++value;
    size_t size = strlen(value);
    while (size > 0 && strchr(" \t\r", value[size - 1]) != nullptr) --size;
    if (size >= 2 && (*value == '"' || *value == '\'') && value[size - 1] == *value) {
        memmove(value, value + 1, size -= 2);
    }
    value[size] = '\0';
    return line;
}

bool same_name(const char* a, const char* b) {
    const size_t size = static_cast<size_t>(strchrnul(a, '=') - a);
    return strncmp(a, b, size) == 0 && b[size] == '=';
}

// The user's own programs stay in front: the default says where they are.
char* with_own_programs(char* by_default, char* path) {
    const char* end = strchr(by_default, ':');
    if (end == nullptr || strncmp(path, "PATH=", 5) != 0) return path;
    snprintf(g_path, sizeof(g_path), "%.*s:%s", static_cast<int>(end - by_default), by_default, path + 5);
    return g_path;
}

// What a caller or the box's settings say wins.
void set(char** env, size_t& count, size_t defaults, size_t room, char* variable) {
    for (size_t i = 0; i < count; ++i) {
        if (!same_name(variable, env[i])) continue;
        if (i < defaults) env[i] = with_own_programs(env[i], variable);
        return;
    }
    if (count >= room) return;
    env[count++] = variable;
    env[count] = nullptr;
}

constexpr char kUsual[] = "xterm-256color";

// Where ncurses looks, beside the user's own directory.
bool is_known(const char* home, const char* terminal) {
    char own[256];
    snprintf(own, sizeof(own), "%s/.terminfo", home);
    for (const char* directory : {static_cast<const char*>(own), "/etc/terminfo", "/lib/terminfo",
                                  "/usr/share/terminfo", "/usr/lib/terminfo"}) {
        char path[512];
        const int size = snprintf(path, sizeof(path), "%s/%c/%s", directory, *terminal, terminal);
        if (size > 0 && static_cast<size_t>(size) < sizeof(path) && access(path, F_OK) == 0) return true;
    }
    return false;
}

const char* value_of(char* const* env, size_t count, const char* name) {
    for (size_t i = 0; i < count; ++i) {
        if (same_name(name, env[i])) return env[i] + strlen(name) + 1;
    }
    return "";
}

}  // namespace

size_t add_environment(char** env, size_t count, size_t defaults, size_t room) {
    if (!read_text()) return count;
    for (char* line = g_text; line != nullptr;) {
        char* const end = strchr(line, '\n');
        if (end != nullptr) *end = '\0';
        if (char* const variable = variable_of(line); variable != nullptr) set(env, count, defaults, room, variable);
        line = end == nullptr ? nullptr : end + 1;
    }
    return count;
}

// A box without any descriptions has no program that asks for one.
void name_known_terminal(char** env, size_t count) {
    static char usual[] = "TERM=xterm-256color";
    const char* const home = value_of(env, count, "HOME");
    const char* const terminal = value_of(env, count, "TERM");
    if (*terminal == '\0' || strcmp(terminal, kUsual) == 0) return;
    if (strchr(terminal, '/') == nullptr && is_known(home, terminal)) return;
    if (!is_known(home, kUsual)) return;
    for (size_t i = 0; i < count; ++i) {
        if (same_name("TERM", env[i])) env[i] = usual;
    }
}

}  // namespace hutch::runtime::init

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "client/build/steps.h"
#include "client/place.h"

namespace hutch::client {
namespace {

/// What is there for one RUN alone, and not in what it leaves.
struct RunMount {
    std::string type, id, target, source, from, variable, mode, owner;
    bool required = false;
    std::vector<BuildContext::Entry> entries{};  ///< of a bind from the context
    StageFiles files{};                          ///< of one from elsewhere
};

struct Running {
    StepCommand command;
    std::vector<RunMount> mounts;
};

bool is_set(const std::map<std::string, std::string>& fields, const char* name) {
    const auto found = fields.find(name);
    return found != fields.end() && found->second != "false";
}

std::string first_of(const std::map<std::string, std::string>& fields, std::initializer_list<const char*> names) {
    for (const char* name : names) {
        if (const auto found = fields.find(name); found != fields.end()) return found->second;
    }
    return "";
}

Result<RunMount> decode_mount(const StepKit& kit, const StageWords& words, const Instruction& one,
                              const std::string& text) {
    const auto fields = fields_of(TRY(words.expanded(one, text)));
    RunMount mount;
    mount.type = fields.contains("type") ? fields.at("type") : "bind";
    mount.id = first_of(fields, {"id"});
    mount.source = first_of(fields, {"source", "src"});
    mount.from = first_of(fields, {"from"});
    mount.variable = first_of(fields, {"env"});
    mount.required = is_set(fields, "required");
    mount.mode = first_of(fields, {"mode"});
    const std::string uid = first_of(fields, {"uid"});
    const std::string gid = first_of(fields, {"gid"});
    mount.owner = (uid.empty() ? "0" : uid) + ":" + (gid.empty() ? "0" : gid);
    std::string target = first_of(fields, {"target", "dst", "destination"});
    if (mount.type == "secret") {
        if (mount.id.empty()) mount.id = base_name(target);
        if (mount.id.empty()) return invalid("--mount=type=secret needs id=ID, that of a --secret");
        if (target.empty() && mount.variable.empty()) target = "/run/secrets/" + mount.id;
        if (mount.mode.empty()) mount.mode = "0400";
    } else if (mount.type == "bind") {
        if (mount.from.empty()) {
            mount.entries = TRY(kit.context.find(mount.source));
        } else {
            mount.files = TRY(kit.files_of(mount.from));
        }
    } else if (mount.type != "cache" && mount.type != "tmpfs") {
        return invalid("--mount=type=" + mount.type + " is not known; secret, bind, cache and tmpfs are");
    }
    if (target.empty() && mount.variable.empty()) return invalid("--mount=" + text + " needs target=PATH");
    if (!target.empty()) mount.target = words.absolute(target);
    return mount;
}

/// What is to be taken away after the RUN, so that what it leaves is without it.
class Traces {
  public:
    explicit Traces(Workshop& shop) : shop_(shop) {}

    /// Before something is made there: the outermost that is not there yet goes later.
    Result<bool> expect(const std::string& path) {
        std::string missing;
        for (std::string at = path; at != "/" && TRY(shop_.kind_of(at)) == Workshop::Kind::kNone;) {
            missing = at;
            const size_t slash = at.rfind('/');
            at = slash == 0 ? "/" : at.substr(0, slash);
        }
        if (missing.empty()) return false;
        gone_.push_back(missing);
        return true;
    }
    /// A directory that is there and stays: what is in it goes.
    void empty_later(const std::string& path) { emptied_.push_back(path); }
    Result<void> remove() {
        for (const std::string& path : gone_) TRY(remove_if_there(path));
        for (const std::string& path : emptied_) {
            const auto names = TRY(shop_.names_in(path));
            for (const std::string& name : names) TRY(remove_if_there(join_path(path, name)));
        }
        return {};
    }

  private:
    Result<void> remove_if_there(const std::string& path) {
        const auto removed = shop_.remove(path);
        if (removed.ok() || removed.error().kind == ErrorKind::kNotFound) return {};
        return removed.error();
    }
    Workshop& shop_;
    std::vector<std::string> gone_, emptied_;
};

Result<std::string> secret_content(const BuildSecret& secret) {
    if (!secret.variable.empty()) {
        const char* value = getenv(secret.variable.c_str());
        if (value == nullptr) return invalid("--secret: " + secret.variable + " is not set in the environment");
        return std::string(value);
    }
    constexpr size_t kMostSecret = size_t{1} << 20;
    return TRY_IN("--secret", read_file_at(AT_FDCWD, secret.file, kMostSecret));
}

Result<void> lay_secret(const StepKit& kit, const RunMount& mount, Workshop& shop, Traces& traces,
                        StepCommand& command) {
    const auto known = kit.secrets.find(mount.id);
    if (known == kit.secrets.end()) {
        if (!mount.required) return {};
        return invalid("secret \"" + mount.id + "\" is required; give it with --secret id=" + mount.id + ",src=FILE");
    }
    const std::string content = TRY(secret_content(known->second));
    if (!mount.variable.empty()) command.env.emplace_back(mount.variable, content);
    if (mount.target.empty()) return {};
    if (!TRY(traces.expect(mount.target))) return invalid("a secret would take the place of " + mount.target);
    const size_t slash = mount.target.rfind('/');
    const std::string folder = slash == 0 ? "/" : mount.target.substr(0, slash);
    return shop.unpack(folder, pack_source(TRY(pack_of_text(content, base_name(mount.target)))),
                       {mount.owner, mount.mode});
}

Result<void> lay_bind(const StepKit& kit, const RunMount& mount, Workshop& shop, Traces& traces) {
    if (!TRY(traces.expect(mount.target))) {
        const bool directory = TRY(shop.kind_of(mount.target)) == Workshop::Kind::kDirectory;
        if (!directory || !TRY(shop.names_in(mount.target)).empty()) {
            return invalid("--mount=type=bind needs a target that is not there, or an empty directory; " +
                           mount.target + " is neither");
        }
        traces.empty_later(mount.target);
    }
    const size_t slash = mount.target.rfind('/');
    const std::string folder = slash == 0 ? "/" : mount.target.substr(0, slash);
    if (!mount.from.empty()) {
        Workshop other(kit.api, kit.afterwards);
        TRY(other.open(mount.files.files));
        const std::string source = lexical_path("/" + mount.source);
        const bool directory = TRY(other.kind_of(source)) == Workshop::Kind::kDirectory;
        return copy_between(other, source, shop, directory ? mount.target : folder, base_name(mount.target),
                            {"archive", ""});
    }
    for (const BuildContext::Entry& entry : mount.entries) {
        const std::string name = base_name(mount.target);
        BodySource packed = pack_source(TRY(kit.context.pack(entry, name)));
        TRY(shop.unpack(entry.directory ? mount.target : folder, std::move(packed), CopiedAs()));
    }
    return {};
}

Result<void> act(const StepKit& kit, const Running& running, Workshop& shop) {
    StepCommand command = running.command;
    Traces traces(shop);
    for (const RunMount& mount : running.mounts) {
        if (mount.type == "secret") {
            TRY(lay_secret(kit, mount, shop, traces, command));
        } else if (mount.type == "bind") {
            TRY(lay_bind(kit, mount, shop, traces));
        } else if (TRY(traces.expect(mount.target))) {
            TRY(shop.make_directory(mount.target));
        }
    }
    const int code = TRY(shop.run(command));
    if (code != 0) return Error{ErrorKind::kSystem, 0, "ended with exit status " + std::to_string(code)};
    return traces.remove();
}

std::vector<std::string> argv_of(const StageWords& words, const Instruction& one) {
    if (auto words_of_it = exec_form(one.text)) return *std::move(words_of_it);
    std::string script = one.text;
    const bool alone =
        one.heredocs.size() == 1 && StageWords::heredoc_of(one, std::string(trimmed(one.text))) != nullptr;
    if (alone) {
        script = one.heredocs.front().content;
    } else {
        for (const Heredoc& heredoc : one.heredocs) script += "\n" + heredoc.content + heredoc.name;
        if (!one.heredocs.empty()) script += "\n";
    }
    if (alone && script.starts_with("#!")) {  // a program of its own
        return {"/bin/sh", "-c",
                "f=$(mktemp) && printf %s \"$1\" > \"$f\" && chmod 700 \"$f\" && \"$f\"; c=$?; rm -f \"$f\"; exit $c",
                "sh", std::move(script)};
    }
    std::vector<std::string> argv = words.config().shell;
    argv.push_back(std::move(script));
    return argv;
}

/// Names that this API knows for the usual two.
std::string user_of(const std::string& user) {
    if (user == "0" || user == "0:0" || user == "root:root") return "root";
    if (user == "1000" || user == "1000:1000" || user == "boxuser:boxuser") return "boxuser";
    return user;
}

}  // namespace

std::map<std::string, std::string> fields_of(const std::string& text) {
    std::map<std::string, std::string> fields;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find(',', at), text.size());
        const std::string part = text.substr(at, end - at);
        at = end + 1;
        const size_t equals = std::min(part.find('='), part.size());
        fields[part.substr(0, equals)] = equals < part.size() ? part.substr(equals + 1) : "true";
    }
    return fields;
}

Result<Step> run_step(const StepKit& kit, const StageWords& words, const Instruction& one) {
    const std::string network = one.flag("network");
    if (!network.empty() && network != "default") {
        return invalid("RUN --network=" + network + " is not known here; leave it out");
    }
    auto running = std::make_shared<Running>();
    running->command = {.argv = argv_of(words, one),
                        .user = user_of(words.config().run_user()),
                        .folder = words.config().run_folder(),
                        .env = words.run_env()};
    if (running->command.argv.empty()) return invalid("RUN [] names no program");
    Digest digest;
    digest.add("RUN").add(running->command.user).add(running->command.folder);
    for (const std::string& word : running->command.argv) digest.add(word);
    for (const auto& [name, value] : running->command.env) digest.add(name).add(value);
    for (const Flag& flag : one.flags) {
        if (flag.name != "mount") continue;
        digest.add("mount").add(flag.value);
        RunMount mount = TRY(decode_mount(kit, words, one, flag.value));
        for (const BuildContext::Entry& entry : mount.entries) TRY(kit.context.add_to(digest, entry));
        digest.add(mount.files.digest);
        running->mounts.push_back(std::move(mount));
    }
    return Step{.digest = digest.hex(),
                .act = [&kit, running](Workshop& shop) { return act(kit, *running, shop); },
                .leaves_processes = true};
}

}  // namespace hutch::client

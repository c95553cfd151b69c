#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>

#include "base/file.h"
#include "base/ids.h"
#include "client/format.h"
#include "client/place.h"
#include "client/process.h"
#include "client/program.h"
#include "client/relay.h"
#include "client/source.h"
#include "client/table.h"

namespace hutch::client {
namespace {

uint64_t size_of(const Json& image) {
    return static_cast<uint64_t>(std::max<int64_t>(integer_of(image, "size_bytes"), 0));
}

struct ImageOptions {
    std::string name, file, user, workdir, from;
    bool json = false;
};
using Options = std::shared_ptr<ImageOptions>;
using Command = Result<int> (*)(const Program&, const ImageOptions&);

CLI::App* add_image_command(CLI::App& parent, Program& program, Command run, const Options& options,
                            const std::string& name, const std::string& description, const std::string& example) {
    CLI::App* command = add_command(parent, name, description, example);
    run_on(command, program, options, run);
    return command;
}

Result<int> list(const Program& program, const ImageOptions& options) {
    const Api api = TRY(program.api());
    const Json answer = TRY(api.get("/v2/images"));
    if (options.json) return show_json(answer);
    Table table({"NAME", "ID", "PARENT", "SIZE", "LAYERS", "AGE"});
    for (const Json& image : array_of(answer, "images")) {
        table.add({text_of(image, "name"), text_of(image, "id"), text_of(image, "parent"), format_size(size_of(image)),
                   std::to_string(array_of(image, "layers").size()),
                   format_duration(time(nullptr) - integer_of(image, "created_at"))});
    }
    return show(table.text(colour_for(STDOUT_FILENO)));
}

std::string lines_of(const Json& values) {
    std::string lines;
    for (const auto& [key, value] : values.items()) {
        const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
        if (!lines.empty()) lines += '\n';
        if (values.is_object()) lines.append(key).append("=");
        lines += text;
    }
    return lines;
}

Result<int> inspect(const Program& program, const ImageOptions& options) {
    const Api api = TRY(program.api());
    const Json image = TRY(api.get(image_target(options.name)));
    if (options.json || isatty(STDOUT_FILENO) != 1 || !image.is_object()) return show_json(image);
    return show(key_values(
        {
            {"Name", text_of(image, "name")},
            {"Id", text_of(image, "id")},
            {"Parent", text_of(image, "parent")},
            {"Size", format_size(size_of(image))},
            {"Created", format_time(integer_of(image, "created_at"))},
            {"User", text_of(image, "user")},
            {"Work directory", text_of(image, "workdir")},
            {"Environment", lines_of(image.value("env", Json::object()))},
            {"Layers", lines_of(array_of(image, "layers"))},
        },
        colour_for(STDOUT_FILENO)));
}

Result<int> remove(const Program& program, const ImageOptions& options) {
    const Api api = TRY(program.api());
    TRY(api.call("DELETE", image_target(options.name)));
    return 0;
}

Result<int> show_image(const Json& image, const ImageOptions& options) {
    return options.json ? show_json(image) : show(printable(text_of(image, "name")) + "\n");
}

Result<int> put(const Program& program, const ImageOptions& options, BodySource archive) {
    std::string query;
    if (!options.user.empty()) query += "?user=" + percent_encode(options.user);
    if (!options.workdir.empty())
        query += (query.empty() ? "?workdir=" : "&workdir=") + percent_encode(options.workdir);
    const Request request{.method = "PUT",
                          .target = image_target(options.name, query),
                          .content_type = "application/x-tar",
                          .source = std::move(archive)};
    const Api api = TRY(program.api());
    return show_image(TRY(api.exchange(request)), options);
}

Result<int> import(const Program& program, const ImageOptions& options) {
    UniqueFd file = TRY(options.file == "-" ? duplicate(STDIN_FILENO) : open_at(AT_FDCWD, options.file, O_RDONLY));
    return put(program, options, file_source(std::move(file), options.file));
}

/// Where the recipes that come with Hutch are: HUTCH_SHARE, the source tree for a program run from its build
/// directory (and for no other: an installed one must not run what lies at a path of the build machine), else the
/// place they are installed in.
std::string share_directory() {
    const char* chosen = getenv("HUTCH_SHARE");
    if (chosen != nullptr && *chosen != '\0') return chosen;
    std::string self(4096, '\0');
    const ssize_t size = readlink("/proc/self/exe", self.data(), self.size());
    self.resize(size < 0 ? 0 : static_cast<size_t>(size));
    return self.starts_with(HUTCH_BUILD_DIR "/") ? HUTCH_SOURCE_SHARE_DIR : HUTCH_SHARE_DIR;
}

/// What a recipe says on a line "# NAME: ..." of its own: `from`, the image it starts from, else the daemon's default;
/// `env`, a variable NAME=VALUE of its own and of the image's boxes. Empty where it says nothing.
std::string said_by(const std::string& script, const std::string& name) {
    const std::string mark = "\n# " + name + ": ";
    const size_t at = script.find(mark);
    if (at == std::string::npos) return "";
    const size_t begin = at + mark.size();
    return script.substr(begin, script.find('\n', begin) - begin);
}

Result<int> build_from_script(const Program& program, const ImageOptions& options, const std::string& path) {
    const std::string script = TRY_IN("the recipe of image " + options.name, read_file_at(AT_FDCWD, path));
    Request request{
        .method = "POST", .target = image_target(options.name, "/build"), .content_type = "application/json"};
    Json recipe = {{"script", script}};
    const std::string from = options.from.empty() ? said_by(script, "from") : options.from;
    if (!from.empty()) recipe["from"] = from;
    const std::string variable = said_by(script, "env");
    if (const size_t equals = variable.find('='); equals != std::string::npos) {
        recipe["env"][variable.substr(0, equals)] = variable.substr(equals + 1);
    }
    request.body = TRY(dump_json(recipe));
    const Api api = TRY(program.api());
    Response response = TRY(api.open(request));
    // Progress goes where a recipe program's goes; standard output is for the result.
    return show_image(TRY(relay(response, STDERR_FILENO)), options);
}

Result<int> build(const Program& program, const ImageOptions& options) {
    if (!options.file.empty()) return build_from_script(program, options, options.file);
    if (!is_safe_id(options.name)) return invalid("no recipe can be named \"" + options.name + "\"; give one with -f");
    const std::string recipe = join_path(share_directory(), "images/" + options.name);
    if (access(recipe.c_str(), F_OK) != 0) return build_from_script(program, options, recipe + ".sh");
    const Api api = TRY(program.api());
    TRY(api.get("/v2/host"));  // a missing daemon is better known before minutes of work
    // Killed in any way, we take the recipe with us: it may write nothing for minutes, and would not notice.
    Process process = TRY(Process::start(recipe, {"setpriv", "--pdeathsig", "TERM", recipe}));
    return put(program, options, process_source(std::move(process)));
}

void add_name(CLI::App& command, const Options& options) {
    command.add_option("NAME", options->name, "Name of the image")->required();
}

void add_import(CLI::App& image, Program& program) {
    const auto options = std::make_shared<ImageOptions>();
    CLI::App* command =
        add_image_command(image, program, import, options, "import", "Make an image of a root filesystem's tar archive",
                          "docker export web | hutch image import web - --user node");
    add_name(*command, options);
    command->add_option("FILE", options->file, "The archive; `-` is standard input")->required();
    command->add_option("--user", options->user, "User its commands run as")->type_name("USER");
    command->add_option("--workdir", options->workdir, "Directory its commands run in")->type_name("DIR");
    add_json_flag(*command, options->json);
}

void add_build(CLI::App& image, Program& program) {
    const auto options = std::make_shared<ImageOptions>();
    CLI::App* command =
        add_image_command(image, program, build, options, "build",
                          "Make an image by a recipe\n\n"
                          "A recipe comes with Hutch (debian, node, python, ...), or is"
                          " a shell script of yours\nthat is run in a box of another image.",
                          "hutch image build debian\n  hutch image build tools -f tools.sh --from node");
    add_name(*command, options);
    command->add_option("-f,--file", options->file, "Script to run instead of Hutch's own recipe")->type_name("SCRIPT");
    command
        ->add_option("--from", options->from,
                     "Image the script starts from (else what it says, or the daemon's default)")
        ->type_name("IMAGE");
    add_json_flag(*command, options->json);
}

}  // namespace

void add_image_commands(CLI::App& app, Program& program) {
    CLI::App* image = add_command(app, "image", "Manage the images boxes start from", "hutch image ls");
    image->require_subcommand(1);
    const auto listing = std::make_shared<ImageOptions>();
    add_json_flag(*add_image_command(*image, program, list, listing, "ls", "List the images", "hutch image ls --json"),
                  listing->json);
    const auto inspected = std::make_shared<ImageOptions>();
    CLI::App* command =
        add_image_command(*image, program, inspect, inspected, "inspect",
                          "Show an image: readable on a terminal, JSON anywhere else", "hutch image inspect node");
    add_name(*command, inspected);
    add_json_flag(*command, inspected->json);
    const auto removed = std::make_shared<ImageOptions>();
    add_name(*add_image_command(*image, program, remove, removed, "rm", "Delete an image", "hutch image rm node"),
             removed);
    add_import(*image, program);
    add_build(*image, program);
}

}  // namespace hutch::client

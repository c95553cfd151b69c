#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>

#include "base/file.h"
#include "base/ids.h"
#include "client/build/kept_steps.h"
#include "client/format.h"
#include "client/image_build.h"
#include "client/image_load.h"
#include "client/image_push.h"
#include "client/image_save.h"
#include "client/place.h"
#include "client/process.h"
#include "client/program.h"
#include "client/recipes.h"
#include "client/relay.h"
#include "client/settings.h"
#include "client/source.h"
#include "client/table.h"

namespace hutch::client {
namespace {

struct ImageOptions {
    std::string name, file, user, workdir, from;
    std::vector<std::string> variables;
    bool json = false;
    ContainerfileOptions containerfile{};
    std::string wanted_by{};  ///< the image that was asked for, where this one only comes first
};
using ImageCommandOptions = std::shared_ptr<ImageOptions>;
using Command = Result<int> (*)(const Program&, const ImageOptions&);

CLI::App* add_image_command(CLI::App& parent, Program& program, Command run, const ImageCommandOptions& options,
                            const std::string& name, const std::string& description, const std::string& example) {
    CLI::App* command = add_command(parent, name, description, example);
    run_on(command, program, options, run);
    return command;
}

Result<int> list(const Program& program, const ImageOptions& options) {
    const Api api = TRY(program.api());
    const Json answer = TRY(api.get("/v2/images"));
    if (options.json) return show_json(answer);
    Table table({"NAME", "ID", "PARENT", "SIZE", "OWN", "LAYERS", "AGE"});
    for (const Json& image : array_of(answer, "images")) {
        table.add({text_of(image, "name"), text_of(image, "id"), text_of(image, "parent"), size_of(image, "size_bytes"),
                   size_of(image, "own_bytes"), std::to_string(array_of(image, "layers").size()),
                   format_duration(time(nullptr) - integer_of(image, "created_at"))});
    }
    for (const Json& image : array_of(answer, "making")) {
        const std::string said = text_of(image, "said");
        const std::string age = format_duration(time(nullptr) - integer_of(image, "started_at"));
        const std::string none;
        table.add({text_of(image, "name"), std::string("being made"), none, none, none, none,
                   said.empty() ? age : age + ": " + said});
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

/// As a shell reads it.
std::string words_of(const Json& argv) {
    constexpr const char* kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789%+,-./:=@_";
    std::string line;
    for (const Json& argument : argv) {
        const std::string word = argument.is_string() ? argument.get<std::string>() : argument.dump();
        line += line.empty() ? "" : " ";
        if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) {
            line += word;
            continue;
        }
        line += '\'';
        for (const char c : word) line += c == '\'' ? "'\\''" : std::string(1, c);
        line += '\'';
    }
    return line;
}

/// What `hutch create --init-command` is to be given for the image's own programs to run.
std::string init_command_of(const Json& image) {
    const std::string entrypoint = words_of(array_of(image, "entrypoint"));
    const std::string command = words_of(array_of(image, "cmd"));
    if (entrypoint.empty() && command.empty()) return "";
    return "exec " + entrypoint + (entrypoint.empty() || command.empty() ? "" : " ") + command;
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
            {"Size", size_of(image, "size_bytes")},
            {"Of that its own", size_of(image, "own_bytes")},
            {"Created", format_time(integer_of(image, "created_at"))},
            {"User", text_of(image, "user")},
            {"Work directory", text_of(image, "workdir")},
            {"Entrypoint", words_of(array_of(image, "entrypoint"))},
            {"Command", words_of(array_of(image, "cmd"))},
            {"As init command", init_command_of(image)},
            {"Environment", lines_of(image.value("env", Json::object()))},
            {"Ports", lines_of(array_of(image, "ports"))},
            {"Labels", lines_of(image.value("labels", Json::object()))},
            {"Layers", lines_of(array_of(image, "layers"))},
            {"Source", text_of(image, "source")},
            {"Digest", text_of(image, "digest")},
        },
        colour_for(STDOUT_FILENO)));
}

Result<int> remove(const Program& program, const ImageOptions& options) {
    const Api api = TRY(program.api());
    TRY(api.call("DELETE", image_target(options.name)));
    return 0;
}

Result<int> show_image(const Json& image, const ImageOptions& options) {
    if (!options.wanted_by.empty()) return 0;
    return options.json ? show_json(image) : show(printable(text_of(image, "name")) + "\n");
}

/// `variables` as NAME=VALUE.
Result<int> put(const Program& program, const ImageOptions& options, const std::vector<std::string>& variables,
                BodySource archive) {
    std::string env;
    for (const std::string& variable : variables) env += (env.empty() ? "" : "\n") + variable;
    std::string query;
    const std::pair<std::string, std::string> said[] = {
        {"user", options.user}, {"workdir", options.workdir}, {"env", env}, {"wanted_by", options.wanted_by}};
    for (const auto& [name, value] : said) {
        if (!value.empty()) query += (query.empty() ? "?" : "&") + name + "=" + percent_encode(value);
    }
    const Request request{.method = "PUT",
                          .target = image_target(options.name, query),
                          .content_type = "application/x-tar",
                          .source = std::move(archive)};
    const Api api = TRY(program.api());
    return show_image(TRY(api.exchange(request)), options);
}

Result<int> import(const Program& program, const ImageOptions& options) {
    UniqueFd file = TRY(options.file == "-" ? duplicate(STDIN_FILENO) : open_at(AT_FDCWD, options.file, O_RDONLY));
    const Json wanted = TRY(variables_of("--env", options.variables));
    std::vector<std::string> variables;
    for (const auto& [name, value] : wanted.items()) variables.push_back(name + "=" + value.get<std::string>());
    return put(program, options, variables, file_source(std::move(file), options.file));
}

Result<std::string> read_recipe(const std::string& image, const std::string& path) {
    return TRY_IN("the recipe of image " + image, read_file_at(AT_FDCWD, path));
}

/// What a recipe says on lines "# NAME: ..." of its own: `from`, the image it starts from, else the daemon's default;
/// `with`, a recipe that is run before it, in the same box; `env`, a variable NAME=VALUE of the image.
std::vector<std::string> said_by(const std::string& recipe, const std::string& name) {
    const std::string mark = "\n# " + name + ": ";
    std::vector<std::string> all;
    for (size_t at = recipe.find(mark); at != std::string::npos; at = recipe.find(mark, at + 1)) {
        const size_t begin = at + mark.size();
        all.push_back(recipe.substr(begin, recipe.find('\n', begin) - begin));
    }
    return all;
}

/// The script with those that it wants before it, each in a shell of its own.
Result<std::string> whole_script(const std::string& image, const std::string& script) {
    std::string whole;
    for (const std::string& other : said_by(script, "with")) {
        if (!is_safe_id(other))
            return invalid("the recipe of image " + image + ": no recipe can be named \"" + other + "\"");
        whole += "(" + TRY(read_recipe(other, recipe_of(other) + ".sh")) + "\n)\n";
    }
    return whole.empty() ? script : "set -e\n" + whole + script;
}

Result<int> build(const Program& program, const ImageOptions& options);

/// Makes what a recipe stands on where that is not there, and has a recipe too.
Result<void> make_parent(const Program& program, const std::string& parent, const ImageOptions& child) {
    const Api api = TRY(program.api());
    const auto there = api.get(image_target(parent));
    if (there.ok() || there.error().kind != ErrorKind::kNotFound || !is_safe_id(parent)) return {};
    if (!has_recipe(parent)) return {};
    TRY(write_all(STDERR_FILENO, "hutch: image " + parent + " comes first\n"));
    ImageOptions of_parent;
    of_parent.name = parent;
    of_parent.wanted_by = child.wanted_by.empty() ? child.name : child.wanted_by;
    TRY(build(program, of_parent));
    return {};
}

Result<int> build_from_script(const Program& program, const ImageOptions& options, const std::string& path) {
    const std::string script = TRY(read_recipe(options.name, path));
    Request request{
        .method = "POST", .target = image_target(options.name, "/build"), .content_type = "application/json"};
    const std::string whole = TRY(whole_script(options.name, script));
    Json recipe = {{"script", whole}, {"wanted_by", options.wanted_by}};
    const auto said = said_by(script, "from");
    if (!options.from.empty()) {
        recipe["from"] = options.from;
    } else if (!said.empty()) {
        TRY(make_parent(program, said.front(), options));
        recipe["from"] = said.front();
    }
    for (const std::string& variable : said_by(whole, "env")) {
        const size_t equals = std::min(variable.find('='), variable.size());
        recipe["env"][variable.substr(0, equals)] = variable.substr(std::min(equals + 1, variable.size()));
    }
    request.body = TRY(dump_json(recipe));
    const Api api = TRY(program.api());
    Response response = TRY(api.open(request));
    // Progress goes where a recipe program's goes; standard output is for the result.
    return show_image(TRY(relay(response, STDERR_FILENO)), options);
}

/// `hutch image build -t NAME DIR`: there `name` is the directory.
Result<int> build_from_directory(const Program& program, const ImageOptions& options) {
    ContainerfileOptions wanted = options.containerfile;
    wanted.directory = options.name;
    wanted.file = options.file;
    wanted.from = options.from;
    std::error_code code;
    if (!std::filesystem::is_directory(wanted.directory, code)) {
        return invalid("DIR: \"" + wanted.directory + "\" is no directory; -t builds one with a Containerfile");
    }
    return show_image(TRY(build_containerfile(program, wanted)), options);
}

Result<int> build(const Program& program, const ImageOptions& options) {
    const ContainerfileOptions& wanted = options.containerfile;
    if (!wanted.image.empty()) return build_from_directory(program, options);
    if (!wanted.target.empty() || !wanted.arguments.empty() || !wanted.secrets.empty() || wanted.fresh) {
        return invalid("--target, --build-arg, --secret and --no-cache are for a Containerfile; say -t NAME DIR");
    }
    std::error_code code;
    if (options.file.empty() && std::filesystem::is_directory(options.name, code) && !has_recipe(options.name)) {
        return invalid("what to call the image is missing: hutch image build -t NAME " + options.name);
    }
    if (!options.file.empty()) return build_from_script(program, options, options.file);
    if (!is_safe_id(options.name)) return invalid("no recipe can be named \"" + options.name + "\"; give one with -f");
    const std::string recipe = recipe_of(options.name);
    if (!has_recipe(options.name)) {
        return Error{ErrorKind::kNotFound, 0,
                     "NAME: no recipe is called \"" + options.name + "\"; there are " + joined(recipes(), ", ") +
                         ", or give one of yours with -f"};
    }
    if (access(recipe.c_str(), F_OK) != 0) return build_from_script(program, options, recipe + ".sh");
    const Api api = TRY(program.api());
    TRY(api.get("/v2/host"));  // a missing daemon is better known before minutes of work
    const auto variables = said_by(TRY(read_recipe(options.name, recipe)), "env");
    // Killed in any way, we take the recipe with us: it may write nothing for minutes, and would not notice.
    Process process = TRY(Process::start(recipe, {"setpriv", "--pdeathsig", "TERM", recipe}));
    return put(program, options, variables, process_source(std::move(process)));
}

void add_name(CLI::App& command, const ImageCommandOptions& options) {
    command.add_option("NAME", options->name, "Name of the image")->required();
}

void add_image(CLI::App& command, const ImageCommandOptions& options) {
    command.add_option("IMAGE", options->name, "Name of the image")->required();
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
    command->add_option("-e,--env", options->variables, "Variable for its commands; NAME alone: as it is here")
        ->type_name("NAME=VALUE")
        ->allow_extra_args(false);
    add_json_flag(*command, options->json);
}

void add_build(CLI::App& image, Program& program) {
    const auto options = std::make_shared<ImageOptions>();
    ContainerfileOptions& containerfile = options->containerfile;
    CLI::App* command = add_image_command(
        image, program, build, options, "build",
        "Make an image by a Containerfile, or by a recipe\n\n"
        "With -t NAME it is made of DIR by the Containerfile (or Dockerfile) there, each step in a box.\n"
        "Steps that would come to the same are kept, see `hutch image prune`.\n\n"
        "Without -t it is made by the recipe of its name: one that comes with Hutch (debian, node,\n"
        "python, ...), or a shell script of yours that is run in a box of another image.",
        "hutch image build -t web .\n  hutch image build -t web -f web.dockerfile --build-arg VERSION=2 src\n"
        "  hutch image build debian\n  hutch image build tools -f tools.sh --from node");
    command
        ->add_option("NAME", options->name,
                     "Recipe whose image to make; with -t the directory DIR that COPY takes from")
        ->required();
    command->add_option("-t,--tag", containerfile.image, "What to call the image that DIR is made into")
        ->type_name("NAME");
    command
        ->add_option(
            "-f,--file", options->file,
            "Containerfile to build by instead of DIR's own; without -t, script\nto run instead of Hutch's own "
            "recipe")
        ->type_name("FILE");
    command
        ->add_option("--from", options->from,
                     "Image to start from: instead of what the first FROM or the script\nsays, or the default")
        ->type_name("IMAGE");
    command->add_option("--build-arg", containerfile.arguments, "Value for an ARG; NAME alone: as it is here")
        ->type_name("NAME=VALUE")
        ->allow_extra_args(false);
    command->add_option("--target", containerfile.target, "Stage to build, by its name or number, instead of the last")
        ->type_name("STAGE");
    command->add_option("--secret", containerfile.secrets, "For RUN --mount=type=secret,id=ID alone; or id=ID,env=NAME")
        ->type_name("id=ID,src=FILE")
        ->allow_extra_args(false);
    command->add_flag("--no-cache", containerfile.fresh, "Make every step again");
    add_json_flag(*command, options->json);
}

Result<int> prune_steps(const Program& program, const ImageOptions& options) {
    const Api api = TRY(program.api());
    const size_t removed = TRY(KeptSteps::remove_all(api));
    if (options.json) return show_json({{"deleted", removed}});
    return show(std::to_string(removed) + (removed == 1 ? " kept step deleted\n" : " kept steps deleted\n"));
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
    add_image(*command, inspected);
    add_json_flag(*command, inspected->json);
    const auto removed = std::make_shared<ImageOptions>();
    add_image(*add_image_command(*image, program, remove, removed, "rm", "Delete an image", "hutch image rm node"),
              removed);
    add_image_pull(*image, program);
    add_image_push(*image, program);
    add_image_load(*image, program);
    add_image_save(*image, program);
    add_import(*image, program);
    add_build(*image, program);
    const auto pruned = std::make_shared<ImageOptions>();
    add_json_flag(*add_image_command(*image, program, prune_steps, pruned, "prune",
                                     "Delete the steps that builds have kept\n\n"
                                     "Builds keep at most 100 of them, as snapshots. Images stay as they are.",
                                     "hutch image prune"),
                  pruned->json);
}

}  // namespace hutch::client

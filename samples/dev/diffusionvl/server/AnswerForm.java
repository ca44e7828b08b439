// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.server;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.diffusionvl.loader.BadInputException;
import dev.diffusionvl.model.constraint.Constraint;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;

/**
 * What an answer has to look like: {@code response_format}, {@code guided_choice}, {@code guided_regex}, {@code tools} with
 * {@code tool_choice}. At most one of them constrains it.
 *
 * @param constraint null: any text
 * @param tools names of functions that may be called; the answer is then the JSON of a call, or a text where calling is left open
 * @param instructions for the model, of the functions; null: none
 */
record AnswerForm(Constraint constraint, List<String> tools, String instructions) {
  private static final int MAX_TOOLS = 64;
  private static final ObjectMapper MAPPER = new ObjectMapper();

  /** @throws ApiError naming the field that is wrong */
  static AnswerForm read(Fields fields) {
    Constraint format = format(fields);
    Constraint guided = guided(fields);
    if (format != null && guided != null) {
      throw fields.invalid("response_format", "excludes guided_choice and guided_regex");
    }
    AnswerForm calls = calls(fields);
    Constraint other = format != null ? format : guided;
    if (other != null && calls.constraint() != null) {
      throw fields.invalid("tools", "exclude response_format, guided_choice and guided_regex");
    }
    return calls.constraint() != null ? calls : new AnswerForm(other, List.of(), null);
  }

  private static Constraint format(Fields fields) {
    Fields format = fields.object("response_format");
    if (format == null) {
      return null;
    }
    String type = format.word("type", List.of("text", "json_object", "json_schema"));
    Fields named = format.object("json_schema");
    format.refuseTheRest();
    if (type == null) {
      throw format.invalid("type", "is missing");
    }
    if (type.equals("json_schema") != (named != null)) {
      throw format.invalid("json_schema", named == null ? "is missing" : "is for the type json_schema");
    }
    if (named == null) {
      return type.equals("text") ? null : Constraint.jsonObject();
    }
    JsonNode schema = named.get("schema");
    named.ignore("name", "description", "strict");
    named.refuseTheRest();
    if (schema == null) {
      throw named.invalid("schema", "is missing");
    }
    return made(fields, "response_format.json_schema.schema", () -> Constraint.jsonSchema(schema.toString()));
  }

  private static Constraint guided(Fields fields) {
    JsonNode choices = fields.array("guided_choice");
    String regex = fields.text("guided_regex");
    if (choices != null && regex != null) {
      throw fields.invalid("guided_regex", "excludes guided_choice");
    }
    if (regex != null) {
      return made(fields, "guided_regex", () -> Constraint.regex(regex));
    }
    if (choices == null) {
      return null;
    }
    List<String> texts = new ArrayList<>();
    for (JsonNode choice : choices) {
      if (!choice.isTextual()) {
        throw fields.invalid("guided_choice", "must be an array of strings");
      }
      texts.add(choice.textValue());
    }
    return made(fields, "guided_choice", () -> Constraint.choices(texts));
  }

  private static Constraint made(Fields fields, String name, Supplier<Constraint> constraint) {
    try {
      return constraint.get();
    } catch (BadInputException e) {
      throw fields.invalid(name, e.getMessage());
    }
  }

  private static AnswerForm calls(Fields fields) {
    JsonNode tools = fields.array("tools");
    String called = called(fields, tools);
    if (tools == null || tools.isEmpty() || "none".equals(called)) {
      return new AnswerForm(null, List.of(), null);
    }
    if (tools.size() > MAX_TOOLS) {
      throw fields.invalid("tools", "at most " + MAX_TOOLS + " are taken");
    }
    ObjectNode schema = MAPPER.createObjectNode();
    List<String> names = new ArrayList<>();
    StringBuilder told = new StringBuilder("These functions can be called. To call one, answer with JSON alone: {\"name\":\"its name\","
        + "\"arguments\":{…}}, the arguments as its parameters say.");
    for (int i = 0; i < tools.size(); i++) {
      Fields tool = new Fields("tools[" + i + "]", tools.get(i));
      tool.word("type", List.of("function"));
      Fields function = tool.object("function");
      tool.refuseTheRest();
      String name = function == null ? null : function.text("name");
      if (name == null || !name.matches("[a-zA-Z0-9_-]{1,64}") || names.contains(name)) {
        throw tool.invalid("function", "needs a name of letters, digits, - and _, and no other has it");
      }
      JsonNode parameters = function.get("parameters");
      function.ignore("description", "strict");
      function.refuseTheRest();
      names.add(name);
      told.append('\n').append(tools.get(i).get("function"));
      if (called == null || called.equals("required") || called.equals("function " + name)) {
        add(schema, name, parameters);
      }
    }
    if (schema.isEmpty()) {
      throw fields.invalid("tool_choice", "names a function that is not among the tools");
    }
    Constraint constraint = made(fields, "tools",
        () -> called == null ? Constraint.jsonSchemaOrText(schema.toString()) : Constraint.jsonSchema(schema.toString()));
    return new AnswerForm(constraint, names, told.toString());
  }

  /** Null: a call or a text; none; required; or {@code function NAME}. */
  private static String called(Fields fields, JsonNode tools) {
    JsonNode choice = fields.get("tool_choice");
    if (choice == null || "auto".equals(choice.textValue())) {
      return null;
    }
    if ("none".equals(choice.textValue())) {
      return "none";
    }
    if (tools == null || tools.isEmpty()) {
      throw fields.invalid("tool_choice", "needs tools");
    }
    if ("required".equals(choice.textValue())) {
      return "required";
    }
    String name = choice.path("function").path("name").textValue();
    if (name == null) {
      throw fields.invalid("tool_choice", "must be none, auto, required, or an object that names a function");
    }
    return "function " + name;
  }

  /** Adds an alternative for calls of a function. */
  private static void add(ObjectNode schema, String name, JsonNode parameters) {
    int index = schema.withArray("/anyOf").size();
    ObjectNode call = schema.withArray("/anyOf").addObject().put("type", "object");
    call.putObject("properties").putObject("name").put("const", name);
    JsonNode arguments = parameters == null ? MAPPER.createObjectNode().put("type", "object").put("additionalProperties", false)
        : parameters.deepCopy();
    moveReferences(arguments, "#/anyOf/" + index + "/properties/arguments");
    ((ObjectNode) call.get("properties")).set("arguments", arguments);
    call.putArray("required").add("name").add("arguments");
    call.put("additionalProperties", false);
  }

  /** References within a schema that has become a part of another one. */
  private static void moveReferences(JsonNode node, String root) {
    if (node instanceof ObjectNode object && object.path("$ref").isTextual() && object.get("$ref").textValue().startsWith("#")) {
      object.put("$ref", root + object.get("$ref").textValue().substring(1));
    }
    node.forEach(child -> moveReferences(child, root));
  }
}

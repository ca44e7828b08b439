// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.model.constraint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.diffusionvl.loader.BadInputException;
import java.math.BigDecimal;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What texts schemas allow, and what is refused. */
class SchemaCompilerTest {
  private static final long SEED = Long.getLong("test.seed", 1L);

  private static Constraint schema(String text) {
    return Constraint.jsonSchema(text.replace('\'', '"'));
  }

  private static void allows(String schema, String... texts) {
    for (String text : texts) {
      assertTrue(schema(schema).allows(text.replace('\'', '"')), schema + " on " + text);
    }
  }

  private static void forbids(String schema, String... texts) {
    for (String text : texts) {
      assertFalse(schema(schema).allows(text.replace('\'', '"')), schema + " on " + text);
    }
  }

  @Test
  void objectsHaveTheirPropertiesInOrder() {
    String all = "{'type':'object','properties':{'a':{'type':'integer'},'b':{'type':'null'},'c':{'const':'x'}},'required':['b']}";
    allows(all, "{'b':null}", "{'a':-12,'b':null}", "{'b':null,'c':'x'}", "{'a':0,'b':null,'c':'x'}");
    forbids(all, "{}", "{'a':1}", "{'b':null,'a':1}", "{'a':01,'b':null}", "{'a':1,'b':null,}", "{,'b':null}", "{'b': null}",
        "{'b':null,'d':1}", "{'a':1.0,'b':null}", "[]");
  }

  @Test
  void arraysHaveTheirBounds() {
    allows("{'type':'array','items':{'type':'boolean'},'minItems':1,'maxItems':3}", "[true]", "[true,false,true]");
    forbids("{'type':'array','items':{'type':'boolean'},'minItems':1,'maxItems':3}", "[]", "[true,true,true,true]", "[true,]", "[null]");
    allows("{'type':'array','prefixItems':[{'const':1},{'const':'b'}],'items':false}", "[]", "[1]", "[1,'b']");
    forbids("{'type':'array','prefixItems':[{'const':1},{'const':'b'}],'items':false}", "['b']", "[1,'b',2]");
    allows("{'type':'array','prefixItems':[{'const':1}],'items':{'const':2},'minItems':2}", "[1,2]", "[1,2,2,2]");
    forbids("{'type':'array','prefixItems':[{'const':1}],'items':{'const':2},'minItems':2}", "[]", "[1]", "[2,2]");
  }

  @Test
  void stringsAreEscapedInOneForm() {
    allows("{'type':'string','minLength':2,'maxLength':3}", "'ab'", "'é€😀'", "'\\n\\\\'", "'\\u0001a'");
    forbids("{'type':'string','minLength':2,'maxLength':3}", "'a'", "'abcd'", "'a\n'", "'\\u0061b'", "'a\\'");
    allows("{'type':'string','pattern':'^[a-z]+$'}", "'abc'");
    forbids("{'type':'string','pattern':'^[a-z]+$'}", "'abC'", "''");
    allows("{'enum':['é\\n', 'b']}", "'é\\n'", "'b'");
  }

  @ParameterizedTest
  @CsvSource({"date,2024-02-29,2023-02-29", "date,1999-12-31,1999-13-01", "date-time,2020-01-31T23:59:59Z,2020-01-31T24:00:00Z",
      "date-time,2020-01-01T00:00:00.5+02:00,2020-01-01 00:00:00Z", "uuid,123e4567-e89b-12d3-a456-426614174000,123e4567-e89b-12d3-a456",
      "time,10:20:30Z,10:20:30", "ipv4,192.168.0.255,256.1.1.1", "email,a.b@example.org,a@b"})
  void formats(String format, String good, String bad) {
    allows("{'type':'string','format':'" + format + "'}", "'" + good + "'");
    forbids("{'type':'string','format':'" + format + "'}", "'" + bad + "'");
  }

  /** Every bound against comparison of the numbers themselves. */
  @Test
  void boundsOfNumbers() {
    Random random = new Random(SEED);
    for (int n = 0; n < 60; n++) {
      boolean integers = random.nextBoolean();
      BigDecimal low = number(random);
      BigDecimal high = low.add(number(random).abs());
      boolean above = random.nextBoolean();
      boolean below = random.nextBoolean();
      if (integers) {
        high = high.add(BigDecimal.TWO); // so that there is one between
      } else if (low.compareTo(high) == 0) {
        high = high.add(BigDecimal.ONE);
      }
      int sides = 1 + random.nextInt(3);
      String text = "{'type':'%s'%s%s}".formatted(integers ? "integer" : "number",
          (sides & 1) == 0 ? "" : ",'%s':%s".formatted(above ? "exclusiveMinimum" : "minimum", low.toPlainString()),
          (sides & 2) == 0 ? "" : ",'%s':%s".formatted(below ? "exclusiveMaximum" : "maximum", high.toPlainString()));
      Constraint constraint = schema(text);
      for (int i = 0; i < 300; i++) {
        BigDecimal x = switch (random.nextInt(4)) {
          case 0 -> low;
          case 1 -> high;
          case 2 -> low.add(number(random).movePointLeft(random.nextInt(3)));
          default -> number(random);
        };
        String spelt = x.signum() == 0 ? "0" : x.toPlainString() + (random.nextInt(8) == 0 ? x.scale() > 0 ? "00" : ".0" : "");
        boolean whole = !spelt.contains(".");
        boolean expected = ((sides & 1) == 0 || x.compareTo(low) > (above ? 0 : -1)) && ((sides & 2) == 0
            || x.compareTo(high) < (below ? 0 : 1)) && (whole || !integers);
        assertEquals(expected, constraint.allows(spelt), () -> text + " on " + spelt);
      }
    }
  }

  private static BigDecimal number(Random random) {
    return BigDecimal.valueOf(random.nextInt(2_000_000) - 1_000_000, random.nextInt(7)).setScale(random.nextInt(3),
        java.math.RoundingMode.DOWN).stripTrailingZeros();
  }

  @Test
  void referencesAreUnrolled() {
    String tree = "{'$defs':{'node':{'type':'object','properties':{'v':{'const':1},'next':{'$ref':'#/$defs/node'}},'required':['v']}},"
        + "'$ref':'#/$defs/node'}";
    allows(tree, "{'v':1}", "{'v':1,'next':{'v':1}}", "{'v':1,'next':{'v':1,'next':{'v':1,'next':{'v':1}}}}");
    forbids(tree, "{'v':1,'next':{'v':1,'next':{'v':1,'next':{'v':1,'next':{'v':1}}}}}", "{'next':{'v':1}}");
    allows("{'type':'array','items':{'$ref':'#'}}", "[]", "[[],[[]]]");
  }

  @Test
  void combinations() {
    allows("{'anyOf':[{'type':'integer','minimum':5},{'type':'null'}]}", "5", "null");
    forbids("{'anyOf':[{'type':'integer','minimum':5},{'type':'null'}]}", "4");
    allows("{'oneOf':[{'type':'string'},{'type':'integer'}]}", "1", "''");
    String shapes = "{'oneOf':[{'type':'object','properties':{'kind':{'const':'circle'},'r':{'type':'integer'}},'required':['kind','r']},"
        + "{'type':'object','properties':{'kind':{'const':'square'},'side':{'type':'integer'}},'required':['kind','side']}]}";
    allows(shapes, "{'kind':'circle','r':1}", "{'kind':'square','side':2}");
    forbids(shapes, "{'kind':'circle','side':1}");
    allows("{'allOf':[{'type':'object','properties':{'a':{'const':1}},'required':['a']},{'properties':{'b':{'const':2}}}]}", "{'a':1}",
        "{'a':1,'b':2}");
    allows("{'type':'object','properties':{'a':{'const':1},'b':{'const':2}},'anyOf':[{'required':['a']},{'required':['b']}]}", "{'a':1}",
        "{'b':2}", "{'a':1,'b':2}");
    forbids("{'type':'object','properties':{'a':{'const':1},'b':{'const':2}},'anyOf':[{'required':['a']},{'required':['b']}]}", "{}");
    allows("{'type':'integer','enum':[1,2,3,'x'],'minimum':2}", "2", "3");
    forbids("{'type':'integer','enum':[1,2,3,'x'],'minimum':2}", "1", "'x'");
  }

  @Test
  void whatIsNotSaidIsFree() {
    allows("{}", "1", "'a'", "null", "[1,'b',[true]]", "{'a':[{}]}");
    forbids("{}", "", "[", "{'a'}", "tru", "[[[[1]]]]");
    allows("{'type':'object'}", "{}", "{'a':1,'b':{'c':[null]}}");
    allows("{'type':'object','additionalProperties':{'type':'integer'}}", "{}", "{'x':1,'y':2}");
    forbids("{'type':'object','additionalProperties':{'type':'integer'}}", "{'x':'1'}");
  }

  @ParameterizedTest
  @ValueSource(strings = {"multipleOf", "uniqueItems", "contains", "patternProperties", "propertyNames", "not", "if",
      "dependentRequired", "minProperties", "maxProperties", "unevaluatedProperties", "$dynamicRef", "unheardOf"})
  void refusesByTheKeyword(String keyword) {
    String message = assertThrows(BadInputException.class,
        () -> schema("{'type':'object','properties':{'a':{'type':'string','" + keyword + "':true}}}")).getMessage();
    assertEquals("JSON schema: properties.a: the keyword " + keyword + " is not supported", message);
  }

  @ParameterizedTest
  @ValueSource(strings = {"[]", "1", "{'type':'strange'}", "{'type':1}", "{'properties':[]}", "{'required':'a'}", "{'items':[{}]}",
      "{'minLength':-1}", "{'minItems':1.5}", "{'pattern':'('}", "{'pattern':1}", "{'type':'string','format':'hostname'}",
      "{'$ref':'http://x/y'}", "{'$ref':'#/nowhere'}", "{'minimum':'1'}", "{'enum':1}", "{'anyOf':[]}", "{'enum':[]}", "false",
      "{'type':'integer','minimum':3,'maximum':2}", "{'oneOf':[{'type':'integer'},{'type':'number'}]}", "{'oneOf':[{},{}]}",
      "{'oneOf':[{'type':'object','required':['a']},{'type':'object','required':['b']}]}", "{", "", "{'a':1,'a':2}",
      "{'type':'object','required':['a'],'additionalProperties':false}", "{'$ref':'#'}", "{'type':'string','maxLength':100000}"})
  void refusesInOneLine(String text) {
    String message = assertThrows(BadInputException.class, () -> schema(text)).getMessage();
    assertTrue(message.lines().count() == 1 && !message.contains("Exception"), message);
  }

  @Test
  void recordsGoThereAndBack() {
    enum Colour { RED, BLUE }
    record Line(String what, int count, double price) {}
    record Receipt(String shop, boolean paid, Colour colour, List<Line> lines, java.util.Optional<Long> number, String[] tags) {}
    Constraint constraint = Constraint.of(Receipt.class);
    String text = "{\"shop\":\"A\",\"paid\":true,\"colour\":\"BLUE\","
        + "\"lines\":[{\"what\":\"x\",\"count\":2,\"price\":1.5}],\"tags\":[\"t\"]}";
    assertTrue(constraint.allows(text));
    assertFalse(constraint.allows(text.replace("BLUE", "GREEN")));
    assertFalse(constraint.allows(text.replace(":2,", ":3000000000,")));
    Receipt receipt = RecordShape.read(text, Receipt.class);
    assertEquals(List.of(new Line("x", 2, 1.5)), receipt.lines());
    assertEquals(Colour.BLUE, receipt.colour());
    assertTrue(receipt.paid() && receipt.number().isEmpty() && receipt.tags()[0].equals("t"));
    record Bad(Object thing) {}
    assertTrue(assertThrows(IllegalArgumentException.class, () -> Constraint.of(Bad.class)).getMessage().startsWith("Bad.thing is a "));
    assertThrows(IllegalArgumentException.class, () -> RecordShape.read("{}", Line.class));
  }

  @Test
  void choicesAreThemselves() {
    Constraint choices = Constraint.choices("yes", "no", "né");
    assertTrue(choices.allows("yes") && choices.allows("né") && !choices.allows("n") && choices.allowsPrefix("n"));
    assertEquals(List.of("yes", "no", "né"), choices.choices());
    assertEquals(choices, Constraint.choices(List.of("yes", "no", "né")));
    for (List<String> bad : List.of(List.<String>of(), List.of("a", "a"), List.of("", "b"))) {
      assertThrows(BadInputException.class, () -> Constraint.choices(bad));
    }
  }
}

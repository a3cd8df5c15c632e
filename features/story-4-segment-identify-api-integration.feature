Feature: Segment Identify API Integration
  As the customer data pipeline
  I want to send transformed customers to Segment's Identify API
  So that Segment knows who our customers are, and I know what became of each of them

  Background:
    Given Segment is available
    And the environment variable SEGMENT_WRITE_KEY is set

  Scenario: A customer with all fields is identified
    Given a transformed customer with the e-mail address "jane.doe@example.com", the name "Jane Doe" and this address:
      | streetName | streetNumber | city   | state | postalCode | country |
      | Main St    | 5            | Austin | TX    | 78701      | US      |
    When the customer is sent to Segment
    Then the result is a success
    And Segment has received an identify call for the userId "jane.doe@example.com"
    And its traits hold the email "jane.doe@example.com", the firstName "Jane", the lastName "Doe" and the name "Jane Doe"
    And its traits hold this address:
      | street    | city   | state | postalCode | country |
      | Main St 5 | Austin | TX    | 78701      | US      |

  Scenario: A customer with an e-mail address only is identified
    Given a transformed customer with the e-mail address "jane.doe@example.com" only
    When the customer is sent to Segment
    Then the result is a success
    And Segment has received an identify call for the userId "jane.doe@example.com"
    And its traits hold nothing but the email "jane.doe@example.com"

  Scenario: The address of Commercetools becomes the address of Segment
    Given a customer of Commercetools with this address:
      | streetName | streetNumber | city   | region | postalCode | country |
      | Main St    | 5            | Austin | TX     | 78701      | US      |
    When the customer is transformed and sent to Segment
    Then the result is a success
    And its traits hold this address:
      | street    | city   | state | postalCode | country |
      | Main St 5 | Austin | TX    | 78701      | US      |

  Scenario: A delivered customer gives a success result
    Given a transformed customer with the e-mail address "jane.doe@example.com" only
    When the customer is sent to Segment
    Then the result is exactly { "success": true }

  Scenario: An empty userId is refused before any call
    Given a transformed customer with the userId ""
    When the customer is sent to Segment
    Then the result is a failure with the message "userId cannot be empty" and the code "ERR_VALIDATION"
    And Segment has received no request

  Scenario: A blank userId is refused before any call
    Given a transformed customer with the userId "   "
    When the customer is sent to Segment
    Then the result is a failure with the message "userId cannot be empty" and the code "ERR_VALIDATION"
    And Segment has received no request

  Scenario: A missing write key is a failure, not an exception
    Given the environment variable SEGMENT_WRITE_KEY is not set
    And a transformed customer with the e-mail address "jane.doe@example.com" only
    When the customer is sent to Segment
    Then the result is a failure with the message "Missing SEGMENT_WRITE_KEY" and the code "ERR_WRITE_KEY_MISSING"
    And Segment has received no request

  Scenario: A network failure is a failure with its cause
    Given Segment refuses connections
    And a transformed customer with the e-mail address "jane.doe@example.com" only
    When the customer is sent to Segment by a client without retries
    Then the result is a failure whose message begins with "Connection failed" and the code "ERR_NETWORK"

  Scenario: A 400 of Segment is a failure with its cause
    Given Segment answers 400
    And a transformed customer with the e-mail address "jane.doe@example.com" only
    When the customer is sent to Segment
    Then the result is a failure whose message begins with "400 Bad Request" and the code "ERR_REJECTED"

  Scenario: A 500 of Segment is tried again, and then a failure with its cause
    Given Segment answers 500
    And a transformed customer with the e-mail address "jane.doe@example.com" only
    When the customer is sent to Segment by a client with 1 retry
    Then the result is a failure whose message begins with "500 Internal Server Error" and the code "ERR_SERVER"
    And Segment has received 2 requests

  Scenario: Something that is no Error is thrown
    Given a client whose identify throws the text "the SDK is on fire"
    And a transformed customer with the e-mail address "jane.doe@example.com" only
    When the customer is sent to Segment with that client
    Then the result is a failure with the message "the SDK is on fire" and no code

  Scenario: An injected client is called, and flushed
    Given a client that records its calls
    And a transformed customer with the e-mail address "jane.doe@example.com" only
    When the customer is sent to Segment with that client
    Then the result is a success
    And the client was called with identify and then flush

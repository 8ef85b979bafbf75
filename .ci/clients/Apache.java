import java.net.InetSocketAddress;
import org.apache.http.HttpHost;
import org.apache.http.client.config.RequestConfig;
import org.apache.http.client.methods.CloseableHttpResponse;
import org.apache.http.client.methods.RequestBuilder;
import org.apache.http.entity.InputStreamEntity;
import org.apache.http.impl.client.CloseableHttpClient;
import org.apache.http.impl.client.HttpClients;
import org.apache.http.util.EntityUtils;

/** Apache's client, for Checks. It does not repeat requests. */
public class Apache implements Checks.Client {
    private final CloseableHttpClient client = HttpClients.custom()
        .setMaxConnPerRoute(100).setMaxConnTotal(100).disableAutomaticRetries().build();

    public Checks.Answer send(String method, String url, Checks.Body body, InetSocketAddress proxy) throws Exception {
        RequestConfig.Builder config = RequestConfig.custom();
        RequestBuilder request = RequestBuilder.create(method).setUri(url);
        if (proxy != null) {
            config.setProxy(new HttpHost(proxy.getHostString(), proxy.getPort()));
        }
        if (body != null) {
            config.setExpectContinueEnabled(body.expects);
            if (body.closes) {
                request.addHeader("Connection", "close");
            }
            request.setEntity(new InputStreamEntity(body.stream, body.isChunked ? -1 : body.length));
        }
        try (CloseableHttpResponse response = client.execute(request.setConfig(config.build()).build())) {
            Checks.Answer answer = new Checks.Answer();
            answer.status = response.getStatusLine().getStatusCode();
            answer.length = response.getFirstHeader("Content-Length").getValue();
            answer.body = response.getEntity() == null ? new byte[0] : EntityUtils.toByteArray(response.getEntity());
            return answer;
        }
    }
}
